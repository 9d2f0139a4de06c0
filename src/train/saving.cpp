// Copies the state, lets threads write it, and accounts for the time that training waited.
#include "src/train/saving.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/elementwise/copy.h"
#include "src/adapter/frozen_tensors.h"
#include "src/base/trained_pieces.h"
#include "src/checkpoint/shard.h"
#include "src/comm/agree.h"
#include "src/config/print_config.h"
#include "src/core/activity.h"
#include "src/core/elapsed.h"
#include "src/core/fault_point.h"
#include "src/data/sampler.h"
#include "src/job/checkpoint_records.h"
#include "src/train/host_copy.h"
#include "src/train/resume.h"

namespace lora_dist {

namespace {

/// Adds its lifetime to the time that training waited for the save.
class Blocked {
 public:
  explicit Blocked(Saving& saving) : saving_(saving) {}
  Blocked(const Blocked&) = delete;
  Blocked& operator=(const Blocked&) = delete;
  ~Blocked() { saving_.times.blocked_seconds += seconds_since(begin_); }

 private:
  Saving& saving_;
  Clock::time_point begin_ = Clock::now();
};

void copy_state(const TrainingRun& run) {
  const auto count = static_cast<std::int64_t>(run.buffers.params.size());
  const ShardRange range = saved_range(count, run.world->rank(), run.world->size());
  const StepMemory& method = run.buffers.method;
  const StateBuffers from =
      elements_of({run.buffers.params, run.buffers.m, run.buffers.v, method.sensitivity, method.uncertainty, run.initial}, range);
  to_host(view(from.params), view(run.copy.params), run.model->stream);
  to_host(view(from.m), view(run.copy.m), run.model->stream);
  to_host(view(from.v), view(run.copy.v), run.model->stream);
  if (!from.sensitivity.empty()) {
    to_host(view(from.sensitivity), view(run.copy.sensitivity), run.model->stream);
    to_host(view(from.uncertainty), view(run.copy.uncertainty), run.model->stream);
  }
  if (!from.initial.empty()) {
    to_host(view(from.initial), view(run.copy.initial), run.model->stream);
  }
}

/// The trained matrices on the host while they are written.
struct SavedMatrices {
  MatrixState state;
  std::vector<float> params;
  std::vector<float> m;  // beside a GPU, as the next
  std::vector<float> v;
};

/// Moments are written in place on CPUs: training waits for that.
SavedMatrices copy_matrices(const TrainingRun& run) {
  SavedMatrices saved;
  if (!run.trained) {
    return saved;
  }
  const Stream& stream = run.model->stream;
  const std::vector<TrainedMatrix> matrices = trained_matrices(*run.trained, run.model->base, run.model->spec);
  std::vector<std::pair<std::int64_t, const TrainedPiece*>> pieces;  // with the index of the matrix
  for (const TrainedMatrix& matrix : matrices) {
    for (const TrainedPiece& piece : matrix.pieces) {
      pieces.emplace_back(std::ssize(saved.state.matrices), &piece);
    }
    saved.state.matrices.push_back({matrix.name, matrix.rows, matrix.cols});
  }
  std::ranges::sort(pieces, {}, [](const auto& piece) { return piece.second->offset; });  // as the moments lie
  saved.params.reserve(run.trained->m.size());
  for (const auto& [matrix, piece] : pieces) {
    const std::vector<float> values = host_copy(piece->values, stream);
    saved.params.insert(saved.params.end(), values.begin(), values.end());
    saved.state.pieces.push_back({matrix, piece->place});
  }
  saved.state.params = saved.params;
  saved.state.m = run.trained->m;
  saved.state.v = run.trained->v;
  if (run.device->on_device()) {
    saved.state.m = saved.m = host_copy(run.trained->m, stream);
    saved.state.v = saved.v = host_copy(run.trained->v, stream);
  }
  return saved;
}

/// Waits for the commit, prints its warnings and adds the save to `committed`. If it throws, no save is in progress.
void end_save(TrainingRun& run, Saving& saving, std::unique_ptr<PendingSave> pending) {
  {
    const Blocked here(saving);
    for (const std::string& warning : pending->finish().warnings) {
      run.console.warn(warning);
    }
  }
  saving.times.seconds = seconds_since(saving.begun);
  saving.committed.push_back(saving.times);
}

/// The run's state in a checkpoint besides the buffers.
TrainingState state_to_save(const TrainingRun& run, const RunProgress& progress) {
  TrainingState state;
  state.step = progress.step;
  state.optimizer_step = progress.optimizer_step;
  const Cursor cursor = cursor_at(progress.step, static_cast<std::int64_t>(run.train.size()), run.config.train.global_batch);
  state.epoch = cursor.epoch;
  state.position_in_epoch = cursor.position;
  state.seed = static_cast<std::uint64_t>(run.config.train.seed);
  state.progress = to_json(progress, to_flat_settings(run.config));
  if (run.layout.method->step != nullptr) {
    state.progress[kBudgetProgress] = to_json(run.budget);
  }
  if (const std::string& day = run.dataset.report.template_day; !day.empty()) {
    state.progress[kTemplateDayProgress] = day;
  }
  return state;
}

}  // namespace

StateCopy take_state_copy(const AdapterLayout& layout, int rank, int ranks, bool on_host, Arena& arena) {
  const auto [begin, end] = saved_range(layout.count, rank, ranks);
  const auto held = static_cast<std::size_t>(end - begin);
  const MemoryKind kind = on_host ? MemoryKind::checkpoint_on_host : MemoryKind::checkpoint;
  if (rank == 0 && layout.frozen_count > 0) {
    arena.count(kind, "projections that are saved", shared_bytes(layout));
  }
  const bool of_steps = layout.method->step != nullptr;
  const bool of_start = uses_residual(layout.init);
  std::span<float> left =
      arena.take_zeroed<float>(kind, "state that is saved", (3 + (of_steps ? 2 : 0) + (of_start ? 1 : 0)) * (end - begin));
  const auto take = [&](bool wanted) {
    const std::span<float> taken = left.first(wanted ? held : 0);
    left = left.subspan(taken.size());
    return taken;
  };
  return {take(true), take(true), take(true), take(of_steps), take(of_steps), take(of_start)};
}

void count_saved_matrices(const TrainedBase& trained, bool on_host, Arena& arena) {
  const auto bytes = static_cast<std::int64_t>(sizeof(float)) * trained.count;
  arena.count(on_host ? MemoryKind::checkpoint_on_host : MemoryKind::checkpoint, "matrices that are saved",
              on_host ? 3 * bytes : bytes);
}

void begin_save(TrainingRun& run, const RunProgress& progress, Saving& saving) {
  finish_save(run, saving);
  saving.times = {progress.step, 0.0, 0.0};
  saving.begun = Clock::now();
  const AtWork here("saving a checkpoint");
  const Blocked waiting(saving);
  copy_state(run);
  const SavedMatrices matrices = copy_matrices(run);
  fault_point("save");
  saving.pending = std::make_unique<PendingSave>(
      *run.world, checkpoints_of(run), identity_of(run), state_to_save(run, progress),
      StateBuffers{run.copy.params, run.copy.m, run.copy.v, run.copy.sensitivity, run.copy.uncertainty, run.copy.initial},
      run.config.checkpoint.keep, matrices.state);
  if (run.trained) {
    std::unique_ptr<PendingSave> pending = std::move(saving.pending);  // none is in progress if it fails
    pending->proceed();
    saving.pending = std::move(pending);
  }
}

bool is_writing(const Saving& saving) { return saving.pending != nullptr && saving.pending->is_working(); }

void proceed_with_save(TrainingRun& run, Saving& saving) {
  if (saving.pending == nullptr) {
    return;
  }
  const AtWork here("saving a checkpoint");
  std::unique_ptr<PendingSave> pending = std::move(saving.pending);
  bool committed = false;
  {
    const Blocked waiting(saving);
    committed = pending->proceed();
  }
  if (committed) {
    end_save(run, saving, std::move(pending));
  } else {
    saving.pending = std::move(pending);
  }
}

void finish_save(TrainingRun& run, Saving& saving) {
  if (saving.pending != nullptr) {
    const AtWork here("saving a checkpoint");
    end_save(run, saving, std::move(saving.pending));
  }
}

std::optional<SaveTimes> next_to_log(Saving& saving) {
  if (saving.logged == saving.committed.size()) {
    return std::nullopt;
  }
  saving.logged = saving.committed.size();
  return saving.committed.back();
}

double slowest_save(const Saving& saving) {
  double most = 0.0;
  for (const SaveTimes& save : saving.committed) {
    most = std::max(most, save.seconds);
  }
  return most;
}

std::string describe(const Saving& saving) {
  double blocked = 0.0;
  double most_blocked = 0.0;
  double seconds = 0.0;
  for (const SaveTimes& save : saving.committed) {
    blocked += save.blocked_seconds;
    most_blocked = std::max(most_blocked, save.blocked_seconds);
    seconds += save.seconds;
  }
  const std::size_t saved = saving.committed.size();
  return fmt::format(
      "{} saved; training waited {:.2g} s for them, {:.2g} s at most; each was on the disk {:.2g} s after it was begun (the "
      "slowest {:.2g} s)",
      saved, blocked, most_blocked, seconds / static_cast<double>(std::max<std::size_t>(1, saved)), slowest_save(saving));
}

}  // namespace lora_dist

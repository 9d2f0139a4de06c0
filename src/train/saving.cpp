// Copies, lets threads write, and keeps account of what training waited for.
#include "src/train/saving.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/elementwise/copy.h"
#include "src/checkpoint/shard.h"
#include "src/comm/agree.h"
#include "src/core/fault_point.h"
#include "src/core/pulse.h"
#include "src/train/resume.h"

namespace lora_dist {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// Adds the time from its making to its end to what training waited for the save.
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
  const StateBuffers from = elements_of({run.buffers.params, run.buffers.m, run.buffers.v}, range);
  to_host(view(from.params), view(run.copy.params), run.model->stream);
  to_host(view(from.m), view(run.copy.m), run.model->stream);
  to_host(view(from.v), view(run.copy.v), run.model->stream);
}

void note_end(TrainingRun& run, Saving& saving) {
  saving.times.seconds = seconds_since(saving.begun);
  SaveCosts& costs = run.saves;
  ++costs.saved;
  costs.blocked += saving.times.blocked_seconds;
  costs.most_blocked = std::max(costs.most_blocked, saving.times.blocked_seconds);
  costs.seconds += saving.times.seconds;
  costs.most_seconds = std::max(costs.most_seconds, saving.times.seconds);
  saving.newest = saving.times;
}

/// Where it fails there is no save under way any more.
void end_save(TrainingRun& run, Saving& saving, std::unique_ptr<PendingSave> pending) {
  {
    const Blocked here(saving);
    for (const std::string& warning : pending->finish().warnings) {
      run.console.warn(warning);
    }
  }
  note_end(run, saving);
}

}  // namespace

StateCopy take_state_copy(std::int64_t count, int rank, int ranks, bool on_host, Arena& arena) {
  const auto [begin, end] = saved_range(count, rank, ranks);
  const auto held = static_cast<std::size_t>(end - begin);
  const MemoryKind kind = on_host ? MemoryKind::checkpoint_on_host : MemoryKind::checkpoint;
  const std::span<float> all = arena.take_zeroed<float>(kind, "state that is saved", 3 * (end - begin));
  return {all.first(held), all.subspan(held, held), all.subspan(2 * held, held)};
}

void begin_save(TrainingRun& run, const RunProgress& progress, Saving& saving) {
  finish_save(run, saving);
  saving.times = {progress.step, 0.0, 0.0};
  saving.begun = Clock::now();
  const AtWork here("saving a checkpoint");
  const Blocked waiting(saving);
  copy_state(run);
  fault_point("save");
  saving.pending =
      std::make_unique<PendingSave>(*run.world, checkpoints_of(run), identity_of(run), state_to_save(run, progress),
                                    StateBuffers{run.copy.params, run.copy.m, run.copy.v}, run.config.checkpoint.keep);
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

std::string describe(const SaveCosts& costs) {
  return fmt::format(
      "{} saved; training waited {:.2g} s for them, {:.2g} s at most; each was on the disk {:.2g} s after it was begun (the "
      "slowest {:.2g} s)",
      costs.saved, costs.blocked, costs.most_blocked, costs.seconds / static_cast<double>(std::max<std::int64_t>(1, costs.saved)),
      costs.most_seconds);
}

}  // namespace lora_dist

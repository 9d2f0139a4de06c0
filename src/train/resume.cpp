// Finds the checkpoint to start from, and loads it.
#include "src/train/resume.h"

#include <algorithm>

#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "src/adapter/adapter_bridge.h"
#include "src/base/trained_pieces.h"
#include "src/checkpoint/folders.h"
#include "src/checkpoint/manifest.h"
#include "src/comm/agree.h"
#include "src/config/config_keys.h"
#include "src/config/print_config.h"
#include "src/config/resume_rules.h"
#include "src/core/activity.h"
#include "src/core/error_of.h"
#include "src/core/version.h"
#include "src/io/file.h"
#include "src/job/checkpoint_records.h"
#include "src/transformer/base_gradients.h"

namespace lora_dist {

namespace {

/// The checkpoint to resume from, if any.
std::optional<std::filesystem::path> find_start(const TrainingRun& run) {
  const WordOrPath<Resume>& from = run.config.checkpoint.resume;
  if (from.kind == Resume::nothing) {
    return std::nullopt;
  }
  if (from.kind == Resume::path) {
    return std::filesystem::path(from.path);
  }
  const SoundCheckpoint found = newest_sound_checkpoint(*run.world, checkpoints_of(run));
  for (const std::string& warning : found.warnings) {
    run.console.warn(warning);
  }
  return found.path;
}

/// Settings that the checkpoint's program did not have yet had the effect of their defaults.
void leave_out_newer_settings(const std::filesystem::path& checkpoint, CheckpointIdentity& identity) {
  nlohmann::json recorded;
  error_of([&] { recorded = read_manifest(checkpoint).identity.settings; });  // loading reports why
  for (const auto& [name, value] : to_flat_settings(Config{})) {
    if (recorded.is_object() && !recorded.contains(name) && identity.settings.value(name, std::string()) == value) {
      identity.settings.erase(name);
    }
  }
}

/// The identity that the checkpoint must match.
CheckpointIdentity wanted_identity(const TrainingRun& run, const std::filesystem::path& checkpoint) {
  CheckpointIdentity identity = identity_of(run);
  leave_out_newer_settings(checkpoint, identity);
  if (recorded_compute_dtype(checkpoint) == "\"auto\"") {
    identity.settings[kComputeDtypeSetting] = to_flat_settings(run.config).at(kComputeDtypeSetting);
  }
  return identity;
}

void show_changes(const TrainingRun& run, const std::map<std::string, std::string>& before) {
  for (const SettingChange& change : changes_in_last_bits(before, to_flat_settings(run.config))) {
    run.console.line(fmt::format("note: {} was {} and is now {}; the last bits may differ from an uninterrupted run", change.key,
                                 change.before, change.after));
  }
}

/// AdaLoRA's budget falls over all steps of the run.
void show_changes_of_budget(const TrainingRun& run, const std::map<std::string, std::string>& before) {
  const std::map<std::string, std::string> now = to_flat_settings(run.config);
  for (const char* key : {"train.max_steps", "train.epochs"}) {
    const auto found = before.find(key);
    if (found != before.end() && found->second != now.at(key)) {
      run.console.line(fmt::format("note: {} was {} and is now {}; AdaLoRA's budget of ranks follows the new number of steps",
                                   key, found->second, now.at(key)));
    }
  }
}

}  // namespace

std::filesystem::path checkpoints_of(const TrainingRun& run) { return run.output / "checkpoints"; }

CheckpointIdentity identity_of(const TrainingRun& run) {
  CheckpointIdentity identity;
  identity.base_model_hash = run.base_hash;
  for (const auto& [name, value] : to_flat_settings(run.config)) {
    const Key* key = find_key(name);
    if (key == nullptr || key->on_resume == OnResume::refuse) {
      identity.settings[name] = value;
    }
  }
  identity.settings[kComputeDtypeSetting] =
      fmt::format("\"{}\"", name_of_compute(run.device->dtype));  // "auto" differs between machines
  identity.settings["training samples (digest)"] = run.data_digest;
  if (!run.shared_digest.empty()) {
    identity.settings["projections of the adapter (digest)"] = run.shared_digest;
  }
  identity.tensors = adapter_tensors(run.layout);
  identity.program_version = kProgramVersion;
  return identity;
}

namespace {

/// Copies a piece's values of a buffer to where training has them.
void put_buffer(const TrainedBase& trained, const TrainedPiece& piece, std::string_view buffer, std::span<const float> values,
                const Stream& stream) {
  const auto offset = static_cast<std::size_t>(piece.offset);
  const std::span<float> there = buffer == "m"   ? trained.m.subspan(offset, values.size())
                                 : buffer == "v" ? trained.v.subspan(offset, values.size())
                                                 : piece.values;
  from_host(view(values), view(there), stream);
  if (buffer == "params" && trained.dtype != DType::f32) {
    cast(view(std::span<const float>(piece.values)), {piece.held.data(), trained.dtype, {std::ssize(values)}}, stream);
  }
}

/// Reads this rank's elements of the trained matrices; the small tensors have been read.
void read_trained_base(TrainingRun& run, const std::filesystem::path& from) {
  const Manifest manifest = read_manifest(from);
  const std::vector<TrainedMatrix> matrices = trained_matrices(*run.trained, run.model->base, run.model->spec);
  const Stream& stream = run.model->stream;
  require(manifest.matrices.size() == matrices.size(), "a checkpoint of other matrices passed for this run's");
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    const TrainedMatrix& matrix = matrices[i];
    const SavedMatrix wanted{matrix.name, matrix.rows, matrix.cols};
    require(manifest.matrices[i] == wanted, "a checkpoint of other matrices passed for this run's");
    for (const char* buffer : kMatrixBuffers) {
      std::vector<PiecePlace> places;
      std::vector<std::vector<float>> values;
      for (const TrainedPiece& piece : matrix.pieces) {
        places.push_back(piece.place);
        values.emplace_back(piece.values.size());
      }
      const std::vector<std::span<float>> views(values.begin(), values.end());
      read_matrix_pieces(from, manifest.matrix_shards, static_cast<std::int64_t>(i), wanted, buffer, places, views);
      for (std::size_t p = 0; p < places.size(); ++p) {
        put_buffer(*run.trained, matrix.pieces[p], buffer, values[p], stream);
      }
    }
  }
}

RunProgress go_on_from(TrainingRun& run, const std::filesystem::path& from) {
  CheckpointIdentity wanted;
  run_together(*run.world, [&] { wanted = wanted_identity(run, from); });
  const TrainingState state = load_checkpoint(*run.world, from, wanted);
  std::optional<RunProgress> progress;
  run_together(*run.world, [&] {
    std::map<std::string, std::string> before;
    progress = progress_from_json(state.progress, before);
    show_changes(run, before);
    if (run.layout.method->step != nullptr) {
      run.budget = rank_budget_from_json(state.progress);
      show_changes_of_budget(run, before);
    }
  });
  const Stream& stream = run.model->stream;
  from_host(view(std::span<const float>(state.params)), view(run.buffers.params), stream);
  take_shard(run.part, run.buffers.params, run.buffers.part_params, stream);
  from_host(view(std::span<const float>(state.m)), view(run.buffers.m), stream);
  from_host(view(std::span<const float>(state.v)), view(run.buffers.v), stream);
  if (!state.sensitivity.empty()) {
    from_host(view(std::span<const float>(state.sensitivity)), view(run.buffers.method.sensitivity), stream);
    from_host(view(std::span<const float>(state.uncertainty)), view(run.buffers.method.uncertainty), stream);
  }
  if (!state.initial.empty()) {
    from_host(view(std::span<const float>(state.initial)), view(run.initial), stream);
    take_shard(run.part, run.initial, run.part_initial, stream);
  }
  if (run.trained) {
    run.model->window->begin_change();
    run_together(*run.world, [&] { read_trained_base(run, from); });
    put_trained_vectors(run.tuned(), run.buffers.part_params);
    run.model->window->end_change();
  }
  run.console.line(fmt::format("resuming from {} (step {})", from.string(), progress->step));
  return *progress;
}

}  // namespace

std::optional<RunProgress> resume(TrainingRun& run) {
  const AtWork here("looking for a checkpoint to go on from");
  const std::optional<std::filesystem::path> from = find_start(run);
  return from ? std::optional<RunProgress>(go_on_from(run, *from)) : std::nullopt;
}

std::optional<RunProgress> go_back(TrainingRun& run) {
  const AtWork here("going back to the last checkpoint");
  const SoundCheckpoint found = newest_sound_checkpoint(*run.world, checkpoints_of(run));
  return found.path ? std::optional<RunProgress>(go_on_from(run, *found.path)) : resume(run);
}

void set_aside_later_checkpoints(const TrainingRun& run, std::int64_t step) {
  std::filesystem::path aside;
  std::error_code problem;
  for (const std::filesystem::path& checkpoint : find_checkpoints(checkpoints_of(run))) {
    const std::filesystem::path name = checkpoint.filename();
    if (*step_of(name.string()) <= step) {
      continue;
    }
    for (int n = 1; aside.empty() && !problem; ++n) {
      const std::filesystem::path folder = run.output / fmt::format("checkpoints_set_aside_{}", n);
      aside = std::filesystem::create_directory(folder, problem) ? folder : aside;
    }
    if (!problem) {
      std::filesystem::rename(checkpoint, aside / name, problem);
    }
    if (problem) {
      throw Error(exit_code_of(problem.value(), ExitCode::usage),
                  system_error_text("move aside", checkpoint, problem.value()) + " (output.dir says where it is)");
    }
  }
  if (!aside.empty()) {
    run.console.line(
        fmt::format("note: checkpoints of later steps, of an earlier run in this folder, are now in {}", aside.string()));
  }
}

}  // namespace lora_dist

// Between a training run and its checkpoints.
#pragma once

#include <filesystem>
#include <optional>

#include "src/checkpoint/checkpoint.h"
#include "src/train/progress_state.h"
#include "src/train/training_run.h"

namespace lora_dist {

/// What a checkpoint of this run must agree with: base model, adapter tensors, and every setting that would alter what was
/// trained.
CheckpointIdentity identity_of(const TrainingRun& run);

/// Goes on from checkpoint.resume: the newest sound checkpoint in output.dir ("auto"), a named one, or nothing ("never", or none
/// there). Fills the run's buffers. Shows what it resumed from, which checkpoints it passed over, and which changed settings may
/// change bits. Collective; throws Error, the same on every rank.
std::optional<RunProgress> resume(TrainingRun& run);

/// Goes back to the newest sound checkpoint in output.dir, or to where the run started from. Nothing where there is neither.
/// Collective; throws as resume() does.
std::optional<RunProgress> go_back(TrainingRun& run);

/// Moves checkpoints of steps beyond `step`, which belong to an earlier run of this folder, to
/// output.dir/checkpoints_set_aside_N, so that no later resume takes them for this run's. Called by one rank.
void set_aside_later_checkpoints(const TrainingRun& run, std::int64_t step);

/// Where the run's checkpoints are: output.dir/checkpoints.
std::filesystem::path checkpoints_of(const TrainingRun& run);

/// What a checkpoint holds of the run besides the buffers.
TrainingState state_to_save(const TrainingRun& run, const RunProgress& progress);

/// Writes the factors after `step` steps as a PEFT folder output.dir/`name`, with the digests of what they came from. Collective;
/// rank 0 writes.
void save_adapter(const TrainingRun& run, std::int64_t step, const std::string& name);

}  // namespace lora_dist

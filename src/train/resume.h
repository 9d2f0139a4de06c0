// Resumes a training run from a checkpoint.
#pragma once

#include <filesystem>
#include <optional>

#include "src/checkpoint/checkpoint.h"
#include "src/train/progress_state.h"
#include "src/train/training_run.h"

namespace lora_dist {

/// The identity that a checkpoint of this run must match: base model, adapter tensors, and every setting that changes the result
/// of training.
CheckpointIdentity identity_of(const TrainingRun& run);

/// Resumes as checkpoint.resume says: from the newest valid checkpoint in output.dir ("auto"), from a named one, or not ("never",
/// or no checkpoint). Fills the run's buffers. Prints the checkpoint, those that it skipped, and changed settings that may change
/// bits. Collective; throws Error, the same on every rank.
std::optional<RunProgress> resume(TrainingRun& run);

/// Returns to the newest valid checkpoint in output.dir, or to the run's start. Empty if neither exists.
/// Collective; throws as resume() does.
std::optional<RunProgress> go_back(TrainingRun& run);

/// Moves checkpoints after `step`, which belong to an earlier run in this folder, to output.dir/checkpoints_set_aside_N, so that
/// no later resume takes them for this run's. Called by one rank.
void set_aside_later_checkpoints(const TrainingRun& run, std::int64_t step);

/// The folder of the run's checkpoints: output.dir/checkpoints.
std::filesystem::path checkpoints_of(const TrainingRun& run);

}  // namespace lora_dist

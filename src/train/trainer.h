// The training loop: steps, evaluations, checkpoints, and what the user sees of them.
#pragma once

#include "src/core/error.h"
#include "src/train/training_run.h"

namespace lora_dist {

/// Trains to the end, or continues from a checkpoint; a complete run is reported and left alone. Collective.
/// Returns done, or stopped when a stop was asked for (SIGUSR1, SIGTERM) and a checkpoint was saved.
/// Throws Error(non_finite, collective) when a step is not finite and train.max_skipped_steps is used up.
ExitCode run_training(TrainingRun& run);

}  // namespace lora_dist

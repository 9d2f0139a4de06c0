// The training loop: steps, evaluations, checkpoints, and their output.
#pragma once

#include "src/core/error.h"
#include "src/train/training_run.h"

namespace lora_dist {

/// Trains to the end, or resumes from a checkpoint; reports a complete run without changing it. Collective.
/// Returns done, or stopped after a stop request (SIGUSR1, SIGTERM) and a saved checkpoint.
/// Throws Error(non_finite, collective) if a step is not finite and train.max_skipped_steps is used up.
ExitCode run_training(TrainingRun& run);

}  // namespace lora_dist

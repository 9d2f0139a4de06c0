// The end of a run: compares base and tuned model, lets both answer a question, prints the adapter's path.
#pragma once

#include "src/train/progress_state.h"
#include "src/train/saving.h"
#include "src/train/training_run.h"

namespace lora_dist {

/// Collective: all ranks generate the answers together.
void show_summary(const TrainingRun& run, const RunProgress& progress, const Saving& saving, std::int64_t total_steps);

}  // namespace lora_dist

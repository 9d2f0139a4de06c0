// The adapter folders of a run: of the last step and of the best evaluation.
#pragma once

#include <cstdint>
#include <string>

#include "src/train/training_run.h"

namespace lora_dist {

/// Writes the factors after `step` steps as a PEFT folder output.dir/`name`, with digests of their origin. Collective; rank 0
/// writes.
void save_adapter(const TrainingRun& run, std::int64_t step, const std::string& name);

}  // namespace lora_dist

// The plan of a run beside what the run held and sent.
#pragma once

#include <string>

#include "src/train/training_run.h"

namespace lora_dist {

/// "plan       memory of a rank 12.3 MiB planned, 12.3 MiB held (...); wire of a step ...": for the end of a training run.
/// Collective. Nothing where no step was made.
std::string plan_beside_run(const TrainingRun& run);

}  // namespace lora_dist

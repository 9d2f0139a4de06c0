// Compares the plan of a run with the memory that it held and the bytes that it sent.
#pragma once

#include <cstdint>
#include <string>

#include "src/train/training_run.h"

namespace lora_dist {

/// "plan       memory of a rank: ...; wire of a step ...", for the end of a training run. `program`: program_bytes() before the
/// run took its buffers. Collective. Empty if the run made no step.
std::string plan_beside_run(const TrainingRun& run, std::int64_t program);

}  // namespace lora_dist

// The first values of parameters that methods make from the base's weights.
#pragma once

#include "src/train/training_run.h"

namespace lora_dist {

/// Fills the parameters with from_base of a new adapter, in the whole flat buffer of every rank and in its TP shard. Collective.
void initialize_adapter_from_base(TrainingRun& run);

}  // namespace lora_dist

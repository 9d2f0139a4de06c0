// The first values of parameters that methods make from the base's weights or embedding.
#pragma once

#include "src/train/training_run.h"

namespace lora_dist {

/// Fills, for a new adapter, the parameters with from_base, trained norms (as the base's), and virtual tokens that start as rows
/// of the embedding, in the whole flat buffer of every rank and in its TP shard. Collective. Throws Error(model) if a text has no
/// tokens or the model no tokenizer.
void initialize_adapter_from_base(TrainingRun& run);

}  // namespace lora_dist

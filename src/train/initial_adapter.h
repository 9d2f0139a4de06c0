// The first values of parameters that methods make from the base's weights or embedding.
#pragma once

#include "src/train/training_run.h"

namespace lora_dist {

/// Fills the small tensors of full fine-tuning; for a new adapter, the parameters with from_base, trained norms and tables (as
/// the base's), and virtual tokens that start as rows of the embedding, in the whole flat buffer of every rank and in its TP
/// shard. Collective. Throws Error(model) if a text has no tokens or the model no tokenizer.
void initialize_adapter_from_base(TrainingRun& run);

/// Fills the initial factors that are made from the weights (PiSSA, OLoRA, LoftQ): the first values of a new adapter, and those
/// that residual linears need. Each rank computes those of its share of the modules. Not for a run that resumes, whose
/// checkpoint has them. Collective. Throws Error, the same on every rank.
void initialize_adapter_from_weights(TrainingRun& run);

}  // namespace lora_dist

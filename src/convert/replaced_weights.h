// Embedding, head and norms that an adapter holds whole, and rows of its trained tokens, as changes of a merge.
#pragma once

#include "src/convert/merge_weights.h"

namespace lora_dist {

/// Throws Error(usage) for an adapter with tokens beyond the model's vocabulary.
void check_vocabulary(const WeightedAdapter& adapter, const ModelSpec& spec);

/// Adds them to the plan. Throws Error(usage) for an adapter that merges only alone and with weight 1, and for a head that no
/// longer is the embedding, which are other files than the model's.
void plan_replaced(const ModelSpec& spec, const TensorDirectory& model, std::span<const WeightedAdapter> adapters,
                   MergePlan& plan);

/// Puts the values over those of the tensor.
void replace_values(const TensorInfo& tensor, const WeightChange& change, std::span<float> values);

}  // namespace lora_dist

// The part of the base that every rank holds whole: embedding, positions, head, norms and biases.
#pragma once

#include "src/model/frozen_shard.h"

namespace lora_dist {

/// Fills all of `base` but its blocks' parts; base.spec and the size of base.rest are set. Throws Error(model).
void load_rest(FrozenBase& base, const TensorDirectory& directory, const BasePlace& place);

}  // namespace lora_dist

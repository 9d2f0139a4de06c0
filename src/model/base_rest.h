// The part of the base that data ranks do not divide: embedding, positions, head, norms and biases.
#pragma once

#include "src/model/frozen_shard.h"

namespace lora_dist {

/// Fills all of `base` but its blocks' slices; base.spec, base.part and the size of base.rest are set. `whole`: the model before
/// tensor ranks cut it. Throws Error(model).
void load_rest(FrozenBase& base, const ModelSpec& whole, const TensorDirectory& directory, const BasePlace& place);

}  // namespace lora_dist

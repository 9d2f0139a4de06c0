// The part of the base that is not in blocks: embedding and head, positions, norms and biases.
#pragma once

#include "src/base/frozen_base.h"

namespace lora_dist {

/// Lays out base.embedding and base.head and takes the memory of this rank's slices, which in memory of a node is only counted;
/// base.part, base.shards and base.of_node are set. `whole`: the model before TP ranks cut it. Throws Error(model).
void take_tables(FrozenBase& base, const ModelSpec& whole, const TensorDirectory& directory, const BaseStorage& place);

/// Fills this rank's slices of them; `shard`: its rank among those that divide them. Throws Error(model).
void load_tables(const FrozenBase& base, const ModelSpec& whole, const TensorDirectory& directory, const BaseStorage& place,
                 int shard);

/// Fills what every rank has whole: positions, norms and biases; base.spec, base.part and the size of base.rest are set. Throws
/// Error(model).
void load_rest(FrozenBase& base, const ModelSpec& whole, const TensorDirectory& directory, const BaseStorage& place);

}  // namespace lora_dist

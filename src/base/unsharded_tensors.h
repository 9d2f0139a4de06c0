// The base's tensors that are not sharded with the blocks: embedding and head, positions, norms and biases.
#pragma once

#include "src/base/frozen_base.h"

namespace lora_dist {

/// Lays out base.embedding and base.head and takes the memory of this rank's slices (only counts it in node-shared memory).
/// base.tp, base.shards and base.of_node must be set. `whole`: the model before TP sharding. Throws Error(model).
void take_tables(FrozenBase& base, const ModelSpec& whole, const TensorDirectory& directory, const BaseStorage& storage);

/// Fills this rank's slices of embedding and head; `shard`: its rank among those that divide the base. Throws Error(model).
void load_tables(const FrozenBase& base, const ModelSpec& whole, const TensorDirectory& directory, const BaseStorage& storage,
                 int shard);

/// Fills the replicated tensors: positions, norms and biases. base.spec, base.tp and the size of base.rest must be set. Throws
/// Error(model).
void load_rest(FrozenBase& base, const ModelSpec& whole, const TensorDirectory& directory, const BaseStorage& storage);

}  // namespace lora_dist

// A base whose layers are not cut.
#pragma once

#include "src/base/frozen_base.h"

namespace lora_dist::test {

/// load_frozen_base of one TP rank: `shards` hold it all.
inline FrozenBase load_whole_base(const ModelSpec& spec, const TensorDirectory& directory, const BaseFormat& format,
                                  Communicator& shards, const BaseStorage& place) {
  return load_frozen_base(spec, directory, format, BaseHolders{shards, shards, shards, tp_shard(spec, 0, 1)}, place);
}

}  // namespace lora_dist::test

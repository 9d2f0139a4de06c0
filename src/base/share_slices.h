// Puts a base into memory that the ranks of a machine share.
#pragma once

#include "src/base/frozen_base.h"

namespace lora_dist {

/// Allocates blocks and tables together with the machine's other ranks, with the slices of all ranks contiguous; sets base.node
/// and all slices. Collective over `shards`. Throws Error, the same on every rank: out_of_memory, communication.
void share_slices(FrozenBase& base, Communicator& shards);

}  // namespace lora_dist

// Puts a base into memory that the ranks of a machine share.
#pragma once

#include "src/base/frozen_base.h"

namespace lora_dist {

/// Takes the memory of blocks and tables together with the other ranks of the machine, with all ranks' slices contiguous, and
/// sets base.node and all slices. Collective over `world`, which the groups `shards` divide. Throws Error, the same on every rank
/// of `world`: out_of_memory, communication.
void share_slices(FrozenBase& base, Communicator& shards, Communicator& world);

/// The slices of the machine's first rank, without taking memory: their addresses must not be read or written.
void lay_out_shared_slices(FrozenBase& base);

}  // namespace lora_dist

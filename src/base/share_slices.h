// Puts a base into memory that the ranks of a machine share.
#pragma once

#include "src/base/frozen_base.h"

namespace lora_dist {

/// Takes the memory of blocks and tables together with the other ranks of the machine, the slices of all of them end to end, and
/// sets base.node and all slices. Collective over `world`, which the groups `shards` divide. Throws Error, the same on every rank
/// of it: out_of_memory, communication.
void share_slices(FrozenBase& base, Communicator& shards, Communicator& world);

/// The slices that the first of the ranks would have, with nothing taken: addresses that may be neither written nor read.
void lay_out_shared_slices(FrozenBase& base);

}  // namespace lora_dist

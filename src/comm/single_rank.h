// The communicator of a group of one rank: collectives copy or do nothing, and no byte is counted.
#pragma once

#include <memory>

#include "src/comm/communicator.h"

namespace lora_dist {

/// A group with only this rank; needs no MPI.
std::unique_ptr<Communicator> make_single_rank();
/// The same as a subgroup: wire() returns the larger group's `ledger`.
std::unique_ptr<Communicator> make_single_rank(std::shared_ptr<WireBytes> ledger);

}  // namespace lora_dist

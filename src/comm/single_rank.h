// The communicator of a group of one rank, counting nothing, since nothing is sent.
#pragma once

#include <memory>

#include "src/comm/communicator.h"

namespace lora_dist {

/// `ledger` is what wire() shows: that of the larger group when this is a part of one.
std::unique_ptr<Communicator> make_single_rank(std::shared_ptr<WireBytes> ledger);

}  // namespace lora_dist

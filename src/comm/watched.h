// A communicator that notes what it does, for the watchdog and the flight recorder (src/core/pulse.h).
#pragma once

#include <memory>

#include "src/comm/communicator.h"

namespace lora_dist {

/// Every collective of `comm`, and of the groups split from it, is noted with its number. `comm` is over all ranks of the job,
/// and over host memory; where it is one rank it comes back as it is.
std::unique_ptr<Communicator> watch_collectives(std::unique_ptr<Communicator> comm);

/// The same over device memory. `world`: the same ranks over host memory; it must outlive the result.
std::unique_ptr<Communicator> watch_device_collectives(std::unique_ptr<Communicator> comm, Communicator& world);

/// "0-3, 8": numbers in rising order.
std::string ranks_text(std::span<const std::int64_t> ranks);
/// "rank 8", "ranks 0-3, 8".
std::string named_ranks(std::span<const std::int64_t> ranks);

}  // namespace lora_dist

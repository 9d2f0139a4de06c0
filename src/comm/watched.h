// A communicator that records its collectives for the watchdog and the flight recorder (src/core/activity.h).
#pragma once

#include <memory>

#include "src/comm/communicator.h"

namespace lora_dist {

/// Records every collective of `comm` and of groups split from it, with its number. `comm` is over all ranks of the job and host
/// memory; a group of one rank is returned unchanged.
std::unique_ptr<Communicator> watch_collectives(std::unique_ptr<Communicator> comm);

/// The same for device memory. `world`: the same ranks over host memory; it must outlive the result.
std::unique_ptr<Communicator> watch_device_collectives(std::unique_ptr<Communicator> comm, Communicator& world);

/// "0-3, 8": numbers in rising order.
std::string ranks_text(std::span<const std::int64_t> ranks);
/// "rank 8", "ranks 0-3, 8".
std::string named_ranks(std::span<const std::int64_t> ranks);

}  // namespace lora_dist

// Turning one rank's failure into everybody's, so that no rank is left waiting in a collective and the user reads it once.
#pragma once

#include <functional>

#include "src/comm/communicator.h"

namespace lora_dist {

/// Runs `work`, which must contain no collective, on every rank; afterwards all ranks learn whether anyone threw. If so, every
/// rank throws the same Error(noticed = every_rank): that of the lowest failing rank, whose number is named unless all failed
/// alike.
void run_together(Communicator& comm, const std::function<void()>& work);

}  // namespace lora_dist

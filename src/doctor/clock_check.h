// Checks that the ranks' clocks agree.
#pragma once

#include <vector>

#include "src/comm/communicator.h"
#include "src/doctor/finding.h"

namespace lora_dist {

struct ClockFacts {
  std::vector<double> ahead;  // seconds by which each rank's clock is ahead of rank 0's
};

/// Collective. Accurate to the duration of a barrier.
ClockFacts look_at_clocks(Communicator& world);

std::vector<Finding> judge_clocks(const ClockFacts& facts);

}  // namespace lora_dist

// Whether the ranks' clocks agree.
#pragma once

#include <vector>

#include "src/comm/communicator.h"
#include "src/doctor/finding.h"

namespace lora_dist {

struct ClockFacts {
  std::vector<double> ahead;  // seconds of each rank's clock before rank 0's
};

/// Collective. As exact as a barrier is, which is far below what matters.
ClockFacts look_at_clocks(Communicator& world);

std::vector<Finding> judge_clocks(const ClockFacts& facts);

}  // namespace lora_dist

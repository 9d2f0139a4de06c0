// Checks that the machine's name resolves to the machine.
#pragma once

#include <string>
#include <vector>

#include "src/doctor/finding.h"

namespace lora_dist {

struct NameFacts {
  std::string host;
  std::string problem;                 // the resolver's error
  std::vector<std::string> addresses;  // as text
  int machines = 1;                    // of the job
};

NameFacts look_at_name(int machines);

std::vector<Finding> judge_name(const NameFacts& facts);

}  // namespace lora_dist

// Checks that the configuration's input files exist on every machine.
#pragma once

#include <string>
#include <vector>

#include "src/doctor/finding.h"

namespace lora_dist {

struct NamedInput {
  std::string key;  // the configuration key
  std::string path;
};

struct InputFacts {
  int named = 0;
  std::vector<NamedInput> missing;  // or unreadable
};

InputFacts look_at_inputs(const std::vector<NamedInput>& inputs);

std::vector<Finding> judge_inputs(const InputFacts& facts);

}  // namespace lora_dist

// Whether the files that a configuration names are there, on every machine.
#pragma once

#include <string>
#include <vector>

#include "src/doctor/finding.h"

namespace lora_dist {

struct NamedInput {
  std::string key;  // of the configuration
  std::string path;
};

struct InputFacts {
  int named = 0;
  std::vector<NamedInput> missing;  // or not to be read
};

InputFacts look_at_inputs(const std::vector<NamedInput>& inputs);

std::vector<Finding> judge_inputs(const InputFacts& facts);

}  // namespace lora_dist

// Checks of a whole configuration: values that are fine alone and contradict each other.
#pragma once

#include <string>
#include <vector>

#include "src/config/config.h"

namespace lora_dist {

struct ConfigProblem {
  std::vector<std::string> keys;  // those that have to do with it; the first leads the sentence
  std::string text;               // "adapter.r must ..."
};

/// The first contradiction; keys is empty when there is none.
ConfigProblem find_contradiction(const Config& config);

}  // namespace lora_dist

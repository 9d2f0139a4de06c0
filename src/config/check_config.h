// Checks a whole configuration for values that are valid alone but contradict each other.
#pragma once

#include <string>
#include <vector>

#include "src/config/config.h"

namespace lora_dist {

struct ConfigProblem {
  std::vector<std::string> keys;  // the keys involved; the first one starts the sentence
  std::string text;               // "adapter.r must ..."
};

/// The first contradiction; keys is empty if there is none.
ConfigProblem find_contradiction(const Config& config);

}  // namespace lora_dist

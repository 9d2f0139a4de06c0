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

/// A key with another value than its default that adapter.method does not read. r, alpha and dropout, which presets have, are
/// exempt.
ConfigProblem option_of_another_method(const Config& config);

/// Sets those keys to their defaults, and returns their names.
std::vector<std::string> leave_out_options_of_other_methods(Config& config);

/// The first contradiction; keys is empty if there is none.
ConfigProblem find_contradiction(const Config& config);

}  // namespace lora_dist

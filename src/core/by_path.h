// Values that differ by module, as PEFT's rank_pattern and alpha_pattern give them.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace lora_dist {

/// Key to value, in the order in which keys are tried. A key is a regular expression that matches a module's path, or an ending
/// of it from a dot on; the first match decides.
template <class Value>
using PathPattern = std::vector<std::pair<std::string, Value>>;

}  // namespace lora_dist

// The modules that IA3 adapts unless the user names others.
#pragma once

#include <string>
#include <vector>

#include "src/model/tensor_table.h"

namespace lora_dist {

struct Ia3Modules {
  std::vector<std::string> target_modules;
  std::vector<std::string> feedforward_modules;
};

/// PEFT's defaults where it has some for the family; else k, v (or all three, if they are one matrix) and the down projection.
Ia3Modules default_ia3_modules(const ModelSpec& model);

}  // namespace lora_dist

// The modules that IA3 adapts unless the user names others.
#pragma once

#include "src/adapter/method.h"

namespace lora_dist {

/// PEFT's defaults where it has some for the family; else k, v (or all three, if they are one matrix) and the down projection.
DefaultModules default_ia3_modules(const ModelSpec& model);

}  // namespace lora_dist

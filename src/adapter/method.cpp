// The rows of the table.
#include "src/adapter/method.h"

#include <array>

namespace lora_dist {

std::span<const AdapterMethod* const> adapter_methods() {
  static const std::array<const AdapterMethod*, 2> all = {&lora_method(), &dora_method()};
  return all;
}

}  // namespace lora_dist

// A comma before every three digits, from the right.
#include "src/core/with_commas.h"

#include <cstddef>

namespace lora_dist {

std::string with_commas(std::int64_t count) {
  std::string digits = std::to_string(count);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits;
}

}  // namespace lora_dist

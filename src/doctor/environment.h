// Variables that a launcher or a batch system set.
#pragma once

#include <charconv>
#include <cstdlib>
#include <string>

namespace lora_dist {

/// Empty where it is not set.
inline std::string variable(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? "" : text;
}

/// The whole number that it starts with ("4(x2)" is 4); 0 where it is not set or starts with none.
inline std::int64_t variable_number(const char* name) {
  const std::string text = variable(name);
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace lora_dist

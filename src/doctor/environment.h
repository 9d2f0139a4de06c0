// Environment variables of launchers and batch systems.
#pragma once

#include <charconv>
#include <cstdlib>
#include <string>

namespace lora_dist {

/// The variable's value; empty if unset.
inline std::string variable(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? "" : text;
}

/// The integer at its start ("4(x2)" is 4); 0 if unset or not a number.
inline std::int64_t variable_number(const char* name) {
  const std::string text = variable(name);
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace lora_dist

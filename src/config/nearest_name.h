// "Did you mean": finds the known name closest to a mistyped one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lora_dist {

/// The number of letters to add, drop, change or swap with their neighbour to turn `a` into `b` (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The closest name of `known` (the first of equals), which must not be empty.
std::string_view nearest_name(std::string_view name, const std::vector<std::string_view>& known);

/// The same, if similar enough for a suggestion: "" if more than half of the letters differ.
std::string_view similar_name(std::string_view name, const std::vector<std::string_view>& known);

}  // namespace lora_dist

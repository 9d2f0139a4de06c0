// "Did you mean": the known name that is closest to a mistyped one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lora_dist {

/// How many letters must be added, dropped, changed or swapped with their neighbour to turn `a` into `b` (optimal string
/// alignment).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The closest of `known` (the first of equals), which must not be empty.
std::string_view nearest_name(std::string_view name, const std::vector<std::string_view>& known);

/// The same where it is worth a suggestion: "" when more than half of the letters differ.
std::string_view similar_name(std::string_view name, const std::vector<std::string_view>& known);

}  // namespace lora_dist

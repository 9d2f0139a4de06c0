// Reports columns with text that a row's kind does not use, so that they are not lost silently.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "src/data/row.h"

namespace lora_dist {

/// Adds the names of such non-null columns of a row: context, reasoning, choices, images and the like. Only names of a fixed
/// list, since unknown names may be data.
void note_unused_columns(const nlohmann::ordered_json& row, const Row& read, std::set<std::string>& names);

}  // namespace lora_dist

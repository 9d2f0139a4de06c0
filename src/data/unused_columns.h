// Columns that carry text of a sample and that a row's kind has no use for, so that nobody loses them unawares.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "src/data/row.h"

namespace lora_dist {

/// Adds the names of such columns of a row that have a value: context, reasoning, choices, images and their like. Only names of a
/// known list: a name that is not known may be data.
void note_unused_columns(const nlohmann::ordered_json& row, const Row& read, std::set<std::string>& names);

}  // namespace lora_dist

// A file that is one JSON value: where its rows are.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace lora_dist {

/// True if an object that could be one row of a JSONL file is more than that: it holds the rows, or describes a data set.
bool holds_rows(const nlohmann::ordered_json& object);

/// The rows of a list or an object, as a list: those of a list; of an object the one list of objects in it ({"data": [...]}), or
/// the object itself where it is a row. Throws Error(data) that begins with the file's name for what has no rows to take: several
/// such lists, columns, descriptions of data sets.
nlohmann::ordered_json rows_of_document(const std::filesystem::path& file, nlohmann::ordered_json document);

}  // namespace lora_dist

// Finds the rows of a file that is one JSON value.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace lora_dist {

/// True if an object is not a row of a JSONL file: it contains the rows, or describes a data set.
bool holds_rows(const nlohmann::ordered_json& object);

/// The rows: the elements of a list; for an object, its only list of objects ({"data": [...]}), or the object itself if it is a
/// row. Throws Error(data) that begins with the file's name for other documents: several such lists, columns, descriptions of
/// data sets.
nlohmann::ordered_json rows_of_document(const std::filesystem::path& file, nlohmann::ordered_json document);

}  // namespace lora_dist

// What a dataset file is made of, before anyone asks what its rows mean: JSON objects with their place.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace lora_dist {

enum class Container : std::uint8_t { json, jsonl, csv, text };

std::string name_of(Container container);

/// "train.jsonl:12", "train.json, row 12", "notes.txt, paragraph 12".
std::string place_in(const std::filesystem::path& file, Container container, std::int64_t number);

/// .csv and .txt by name; otherwise JSON when the content begins with '[', else JSONL.
Container find_container(const std::filesystem::path& file, const std::string& content);

/// Says of each row of a file, in order and before it is looked at, whether it is wanted; `index` counts the rows from 0.
using WantedRow = std::function<bool(std::int64_t index)>;

/// Calls `row` for each wanted row in order: a JSON value (members in the order of the file), an object of a CSV header's
/// columns, or {"text": paragraph}. Throws Error(data) naming file and line for what cannot be parsed; the lines of a JSONL file
/// that are not wanted are not parsed.
void for_each_row(const std::filesystem::path& file, Container container, const std::string& content, const WantedRow& wanted,
                  const std::function<void(std::int64_t number, nlohmann::ordered_json row)>& row);

}  // namespace lora_dist

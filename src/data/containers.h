// What a dataset file is made of, before anyone asks what its rows mean: JSON objects with their place.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace lora_dist {

enum class Container : std::uint8_t { json, jsonl, csv, tsv, text };

std::string name_of(Container container);

/// "train.jsonl:12", "train.json, row 12", "notes.txt, paragraph 12".
std::string place_in(const std::filesystem::path& file, Container container, std::int64_t number);

/// By the container's name.
std::string place_in(const std::filesystem::path& file, const std::string& container, std::int64_t number);

/// .csv, .tsv and .txt by name (a .gz behind them aside; a .txt that begins with a row in JSON, or with the names of columns and
/// tabs between them, is what it begins like), a table where the first line names known columns; otherwise JSON when the content
/// is a list, one object over several lines, or an object that holds the rows (json_document.h), else JSONL. `text`: as
/// read_data_text gives it.
Container find_container(const std::filesystem::path& file, const std::string& text);

/// Says of each row of a file, in order and before it is looked at, whether it is wanted; `index` counts the rows from 0.
using WantedRow = std::function<bool(std::int64_t index)>;

/// The samples and the report of a file's rows.
struct RowReader {
  WantedRow wanted;
  std::function<void(std::int64_t number, nlohmann::ordered_json row)> row;
  std::function<void(std::int64_t number, const std::string& reason)> bad_row;  // for a row that cannot be parsed
};

/// Calls `row` for each wanted row in order: a JSON value (members in the order of the file), an object of the columns that a
/// table's header names, or {"text": paragraph}. Columns are separated by what makes known keys of a header: comma, semicolon,
/// tab or |; else by comma, in a .tsv by tabs. Lines end in LF, CR LF, or CR where there is no LF. Throws Error(data) naming the
/// file for what cannot be parsed as a whole; the lines of a JSONL file that are not wanted are not parsed.
void for_each_row(const std::filesystem::path& file, Container container, const std::string& text, const RowReader& reader);

}  // namespace lora_dist

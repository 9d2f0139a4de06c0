// Splits dataset files into rows (JSON objects with positions), without interpreting them.
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
std::string location_in(const std::filesystem::path& file, Container container, std::int64_t number);

/// The names of containers.
std::string location_in(const std::filesystem::path& file, const std::string& container, std::int64_t number);

/// By name for .csv, .tsv and .txt (ignoring .gz; but a .txt that begins with a JSON row, or with tab-separated column names, is
/// JSONL or a table); a table if the first line has known column names; JSON if the content is a list, one object over several
/// lines, or an object that contains the rows (json_document.h); else JSONL. `text`: from read_data_text.
Container find_container(const std::filesystem::path& file, const std::string& text);

/// Selects rows by `index`, from 0; called in order, before a row is parsed.
using WantedRow = std::function<bool(std::int64_t index)>;

/// Receives a file's rows and errors.
struct RowReader {
  WantedRow wanted;
  std::function<void(std::int64_t number, nlohmann::ordered_json row)> row;
  std::function<void(std::int64_t number, const std::string& reason)> bad_row;  // called for a row that cannot be parsed
};

/// Calls `row` for each wanted row in order: a JSON value (members in file order), an object of a table's columns, or {"text":
/// paragraph}. The column separator is the one of comma, semicolon, tab and | that gives the header known keys; else comma (tab
/// for .tsv). Lines end in LF, CR LF, or CR in files without LF. Throws Error(data) naming the file if the container cannot be
/// parsed; unwanted lines of a JSONL file are not parsed.
void for_each_row(const std::filesystem::path& file, Container container, const std::string& text, const RowReader& reader);

}  // namespace lora_dist

// Reads lists, objects around lists, and recognises other .json files.
#include "src/data/json_document.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "src/core/error.h"
#include "src/data/row_kind.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

bool is_list_of_rows(const json& value) {
  if (!value.is_array() || value.empty() || !value[0].is_object()) {
    return false;
  }
  return kind_of(value[0]).has_value() || !unsupported_row_reason(value[0]).empty();
}

/// The keys that may contain the list of rows.
std::vector<std::string> lists_of_rows(const json& object) {
  std::vector<std::string> out;
  for (const auto& [key, value] : object.items()) {
    if (is_list_of_rows(value)) {
      out.push_back(key);
    }
  }
  return out;
}

/// LLaMA-Factory's dataset_info.json: names of data sets and their locations.
bool names_data_sets(const json& object) {
  constexpr std::array<const char*, 5> kLocationKeys = {"file_name", "hf_hub_url", "ms_hub_url", "om_hub_url", "script_url"};
  return std::any_of(object.begin(), object.end(), [&](const json& value) {
    return value.is_object() &&
           std::any_of(kLocationKeys.begin(), kLocationKeys.end(), [&](const char* key) { return value.contains(key); });
  });
}

/// datasets' dataset_info.json, dataset_dict.json and state.json.
bool describes_data_set(const json& object) {
  return (object.contains("features") &&
          (object.contains("splits") || object.contains("builder_name") || object.contains("citation"))) ||
         object.contains("_data_files") || (object.size() == 1 && object.contains("splits"));
}

/// {"column": {"0": ..., "1": ...}} or {"column": [...]}, every column as long as the first.
bool is_columns(const json& object) {
  return !object.empty() && object.begin()->is_structured() && std::all_of(object.begin(), object.end(), [&](const json& value) {
    return value.is_structured() && value.size() == object.begin()->size();
  });
}

}  // namespace

bool holds_rows(const json& object) {
  return !kind_of(object) && unsupported_row_reason(object).empty() &&
         (names_data_sets(object) || describes_data_set(object) || !lists_of_rows(object).empty());
}

json rows_of_document(const std::filesystem::path& file, json document) {
  if (document.is_array()) {
    return document;
  }
  const auto refuse = [&](const std::string& what) { throw Error(ExitCode::data, file.string() + " " + what); };
  if (!kind_of(document) && unsupported_row_reason(document).empty()) {
    if (names_data_sets(document)) {
      refuse("is a list of data sets (LLaMA-Factory's dataset_info.json) and not data; name the files that it names");
    }
    if (describes_data_set(document)) {
      refuse("describes a data set (a file of the library datasets) and is not data; write the rows as JSONL with to_json");
    }
    const std::vector<std::string> lists = lists_of_rows(document);
    if (lists.size() > 1) {
      refuse("holds " + std::to_string(lists.size()) + " lists of rows; give each a file of its own");
    }
    if (lists.size() == 1) {
      return std::move(document[lists[0]]);
    }
    if (is_columns(document)) {
      refuse("holds columns and not rows; pandas writes rows with to_json(..., orient='records', lines=True)");
    }
  }
  return json::array({std::move(document)});
}

}  // namespace lora_dist

// The meaning of a row: which kind it is, and its fields.
#include "src/data/formats.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "src/core/error.h"
#include "src/data/chat_rows.h"
#include "src/data/marked_text.h"
#include "src/data/row_fields.h"
#include "src/io/file.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 7> kKindNames = {"alpaca", "chat", "qa", "text", "ids", "marked_text", "qa_text"};
constexpr std::size_t kRowsToFindMarks = 20;
constexpr const char* kExpected =
    "instruction and output (alpaca), messages (chat), question and answer or prompt and completion or prompt and response (qa), "
    "text, or input_ids";

struct KeyPair {
  const char* question;
  const char* answer;
};
constexpr std::array<KeyPair, 3> kQaKeys = {{{"question", "answer"}, {"prompt", "completion"}, {"prompt", "response"}}};

// All that mean something in some kind of row. Other keys may be data: the first row of a table without a header is.
constexpr std::array<std::string_view, 16> kKnownKeys = {"instruction",   "input", "output",    "system", "history", "messages",
                                                         "conversations", "tools", "question",  "answer", "prompt",  "completion",
                                                         "response",      "text",  "input_ids", "labels"};

/// The row's keys, for a message, by name where they are known; never its values.
std::string keys_of(const json& row) {
  std::string known;
  std::size_t others = 0;
  for (const auto& [key, value] : row.items()) {
    if (std::find(kKnownKeys.begin(), kKnownKeys.end(), key) == kKnownKeys.end()) {
      ++others;
    } else {
      known += (known.empty() ? "" : ", ") + key;
    }
  }
  if (others == 0) {
    return known.empty() ? "no keys" : "the keys " + known;
  }
  const std::string unknown = std::to_string(others) + (others == 1 ? " key that is" : " keys that are") + " not known";
  return known.empty() ? unknown : "the keys " + known + " and " + unknown;
}

std::optional<RowKind> kind_of(const json& row) {
  if (row.contains("input_ids")) {
    return RowKind::ids;
  }
  if (row.contains("messages") || row.contains("conversations")) {
    return RowKind::chat;
  }
  if (row.contains("instruction") && row.contains("output")) {
    return RowKind::alpaca;
  }
  for (const KeyPair& keys : kQaKeys) {
    if (row.contains(keys.question) && row.contains(keys.answer)) {
      return RowKind::qa;
    }
  }
  return row.contains("text") ? std::optional(RowKind::text) : std::nullopt;
}

std::string text_of(const json& object, const char* key, const std::string& place, bool optional = false) {
  const auto found = object.find(key);
  if (found == object.end() || (optional && found->is_null())) {
    if (optional) {
      return {};
    }
    fail_row(place, std::string("\"") + key + "\" is missing; the row has " + keys_of(object));
  }
  return text_value(*found, key, place);
}

/// A list of [question, answer], or a text that spells one (in a table).
std::vector<QaRow> history_of(const json& row, const std::string& place) {
  const auto found = row.find("history");
  if (found == row.end() || found->is_null() || (found->is_string() && is_blank(found->get_ref<const std::string&>()))) {
    return {};
  }
  json list = *found;
  if (list.is_string()) {
    try {
      list = parse_ordered_json(found->get_ref<const std::string&>());
    } catch (const JsonError&) {
      list = nullptr;
    }
  }
  const auto is_exchange = [](const json& each) {
    return each.is_array() && each.size() == 2 && each[0].is_string() && each[1].is_string();
  };
  if (!list.is_array() || !std::all_of(list.begin(), list.end(), is_exchange)) {
    fail_row(place, "\"history\" must be a list of [question, answer]");
  }
  std::vector<QaRow> out;
  for (const json& exchange : list) {
    out.push_back({exchange[0].get<std::string>(), exchange[1].get<std::string>()});
  }
  return out;
}

AlpacaRow alpaca_row(const json& row, const std::string& place) {
  return {text_of(row, "instruction", place), text_of(row, "input", place, true), text_of(row, "output", place),
          text_of(row, "system", place, true), history_of(row, place)};
}

QaRow qa_row(const json& row, const std::string& place) {
  for (const KeyPair& keys : kQaKeys) {
    if (row.contains(keys.question) && row.contains(keys.answer)) {
      return {text_of(row, keys.question, place), text_of(row, keys.answer, place)};
    }
  }
  fail_row(place, "a question or its answer is missing; the row has " + keys_of(row));
}

std::vector<std::int64_t> whole_numbers(const json& row, const char* key, const std::string& place) {
  const auto found = row.find(key);
  if (found == row.end()) {
    fail_row(place, std::string("\"") + key + "\" is missing; the row has " + keys_of(row));
  }
  std::vector<std::int64_t> out;
  const auto refuse = [&] { fail_row(place, std::string("\"") + key + "\" must be a list of whole numbers"); };
  if (!found->is_array()) {
    refuse();
  }
  out.reserve(found->size());
  for (const json& value : *found) {
    if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX)) {
      refuse();
    }
    out.push_back(value.get<std::int64_t>());
  }
  return out;
}

IdsRow ids_row(const json& row, const std::string& place) {
  IdsRow out;
  out.input_ids = whole_numbers(row, "input_ids", place);
  out.labels = row.contains("labels") ? whole_numbers(row, "labels", place) : out.input_ids;
  return out;
}

RowContent content_of(const json& row, RowKind kind, const std::string& place) {
  switch (kind) {
    case RowKind::alpaca:
      return alpaca_row(row, place);
    case RowKind::chat:
      if (!row.contains("messages") && !row.contains("conversations")) {
        fail_row(place, "\"messages\" is missing; the row has " + keys_of(row));
      }
      return read_chat_row(row, place);
    case RowKind::qa:
      return qa_row(row, place);
    case RowKind::text:
      return TextRow{text_of(row, "text", place)};
    case RowKind::ids:
      return ids_row(row, place);
    case RowKind::marked_text:
    case RowKind::qa_text:
      return MarkedRow{text_of(row, "text", place)};
  }
  fail_row(place, "unknown kind of row");
}

std::optional<RowKind> kind_named(const std::string& format) {
  for (std::size_t i = 0; i < kKindNames.size(); ++i) {
    if (format == kKindNames[i]) {
      return static_cast<RowKind>(i);
    }
  }
  if (format != "auto") {
    throw Error(ExitCode::usage, "data.format = \"" + format.substr(0, 40) +
                                     "\" is none of auto, alpaca, chat, qa, text, ids, marked_text, qa_text");
  }
  return std::nullopt;
}

/// Texts of which the first rows all have the same marks are rows with marks.
void look_for_marks(DatasetFile& file) {
  const std::size_t looked_at = std::min(kRowsToFindMarks, file.rows.size());
  for (const RowKind kind : {RowKind::marked_text, RowKind::qa_text}) {
    const bool all = std::all_of(file.rows.begin(), file.rows.begin() + static_cast<std::ptrdiff_t>(looked_at),
                                 [&](const Row& row) { return has_marks(kind, std::get<TextRow>(row.content).text); });
    if (all) {
      file.kind = kind;
      for (Row& row : file.rows) {
        row.content = MarkedRow{std::move(std::get<TextRow>(row.content).text)};
      }
      return;
    }
  }
}

}  // namespace

std::string_view name_of(RowKind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

DatasetFile read_dataset_file(const std::filesystem::path& path, const std::string& format, const WantedRow& wanted) {
  std::optional<RowKind> kind = kind_named(format);
  const std::string content = read_text_file(path, ExitCode::data);
  DatasetFile out;
  out.path = path;
  out.container = find_container(path, content);
  std::set<std::int64_t> only_for_kind;
  const auto looked_at = [&](std::int64_t index) {
    ++out.row_count;
    const bool kept = wanted(index);
    if (!kept && index < static_cast<std::int64_t>(kRowsToFindMarks)) {
      only_for_kind.insert(index);
      return true;
    }
    return kept;
  };
  for_each_row(path, out.container, content, looked_at, [&](std::int64_t number, const json& row) {
    const std::string place = place_in(path, out.container, number);
    if (!row.is_object()) {
      fail_row(place, std::string("a row must be an object (it is of type ") + row.type_name() + "); expected " + kExpected);
    }
    if (!kind) {
      kind = kind_of(row);
    }
    if (!kind) {
      fail_row(place, "a row with " + keys_of(row) + " fits no format; expected " + kExpected);
    }
    out.rows.push_back({number, content_of(row, *kind, place), out.row_count - 1});
  });
  if (out.row_count == 0) {
    throw Error(ExitCode::data,
                path.string() + " holds no rows; give data.train and data.validation files with at least one each");
  }
  out.kind = *kind;
  if (format == "auto" && out.kind == RowKind::text) {
    look_for_marks(out);
  }
  std::erase_if(out.rows, [&](const Row& row) { return only_for_kind.contains(row.index); });
  return out;
}

}  // namespace lora_dist

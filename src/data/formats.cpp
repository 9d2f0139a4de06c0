// Determines the kind of a row and reads its fields.
#include "src/data/formats.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "src/core/error.h"
#include "src/data/chat_rows.h"
#include "src/data/data_text.h"
#include "src/data/marked_text.h"
#include "src/data/row_fields.h"
#include "src/data/row_kind.h"
#include "src/data/unused_columns.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

constexpr std::int64_t kFirstRows = 20;  // every rank reads them, since they decide the kind of all rows

std::string text_of(const json& object, const char* key, const std::string& location, bool optional = false) {
  const auto found = object.find(key);
  if (found == object.end()) {
    if (optional) {
      return {};
    }
    fail_row(location, std::string("\"") + key + "\" is missing; the row has " + keys_of(object));
  }
  return text_value(*found, key, location);
}

/// A list of [question, answer] pairs, or a JSON text of one (in a table).
std::vector<QaRow> history_of(const json& row, const std::string& location) {
  const auto found = row.find("history");
  if (found == row.end() || (found->is_string() && is_blank(found->get_ref<const std::string&>()))) {
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
    fail_row(location, "\"history\" must be a list of [question, answer]");
  }
  std::vector<QaRow> out;
  for (const json& exchange : list) {
    out.push_back({exchange[0].get<std::string>(), exchange[1].get<std::string>(), false});
  }
  return out;
}

/// Dolly uses context and response; LLaMA-Factory's columns may be prompt, query and response.
AlpacaRow alpaca_row(const json& row, const std::string& location) {
  const bool prompt = !row.contains("instruction") && row.contains("prompt");
  const char* input = row.contains("input") ? "input" : prompt ? "query" : "context";
  const char* output = !row.contains("output") && row.contains("response") ? "response" : "output";
  return {text_of(row, prompt ? "prompt" : "instruction", location), text_of(row, input, location, true),
          text_of(row, output, location), system_prompt_of(row, location), history_of(row, location)};
}

RowContent qa_row(const json& row, const std::string& location) {
  const std::optional<KeyPair> keys = qa_keys_of(row);
  if (!keys) {
    fail_row(location, "a question or its answer is missing; the row has " + keys_of(row));
  }
  if (!row[keys->answer].is_string() && (row.contains("choices") || row.contains("options"))) {
    fail_row(location, std::string("a question with choices, whose \"") + keys->answer + "\" is of type " +
                           row[keys->answer].type_name() + "; write the right choice's text as the answer");
  }
  QaRow out{text_of(row, keys->question, location), text_of(row, keys->answer, location),
            std::string_view(keys->answer) == "completion"};
  const std::string system = system_prompt_of(row, location);
  std::vector<QaRow> history = history_of(row, location);
  if (system.empty() && history.empty()) {
    return out;
  }
  return AlpacaRow{std::move(out.question), "", std::move(out.answer), system, std::move(history)};
}

std::vector<std::int64_t> whole_numbers(const json& row, const char* key, const std::string& location) {
  const auto found = row.find(key);
  if (found == row.end()) {
    fail_row(location, std::string("\"") + key + "\" is missing; the row has " + keys_of(row));
  }
  std::vector<std::int64_t> out;
  const auto refuse = [&] { fail_row(location, std::string("\"") + key + "\" must be a list of whole numbers"); };
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

IdsRow ids_row(const json& row, const std::string& location) {
  IdsRow out;
  out.input_ids = whole_numbers(row, "input_ids", location);
  out.labels = row.contains("labels") ? whole_numbers(row, "labels", location) : out.input_ids;
  apply_token_masks(row, out, location);
  return out;
}

RowContent content_of(const json& row, RowKind kind, const std::string& location, UnknownFlags& unknown) {
  switch (kind) {
    case RowKind::alpaca:
      return alpaca_row(row, location);
    case RowKind::chat:
      if (message_list_of(row) == nullptr && !has_message_lists(row)) {
        fail_row(location, "\"messages\" is missing; the row has " + keys_of(row));
      }
      return read_chat_row(row, location, unknown);
    case RowKind::qa:
      return qa_row(row, location);
    case RowKind::text:
      return TextRow{text_of(row, "text", location)};
    case RowKind::ids:
      return ids_row(row, location);
    case RowKind::marked_text:
    case RowKind::qa_text:
      return MarkedRow{text_of(row, "text", location)};
  }
  fail_row(location, "unknown kind of row");
}

/// If all texts among the first rows have the same marks, all rows have them.
void look_for_marks(DatasetFile& file) {
  std::vector<const std::string*> first;
  for (std::size_t i = 0; i < file.rows.size() && file.rows[i].index < kFirstRows; ++i) {
    if (file.rows[i].kind == RowKind::text) {
      first.push_back(&std::get<TextRow>(file.rows[i].content).text);
    }
  }
  for (const RowKind kind : {RowKind::marked_text, RowKind::qa_text}) {
    if (first.empty() ||
        !std::all_of(first.begin(), first.end(), [&](const std::string* text) { return has_marks(kind, *text); })) {
      continue;
    }
    for (Row& row : file.rows) {
      if (row.kind == RowKind::text) {
        row.kind = kind;
        row.content = MarkedRow{std::move(std::get<TextRow>(row.content).text)};
      }
    }
    file.kind = file.kind == RowKind::text ? kind : file.kind;
    return;
  }
}

bool is_empty_text(const json& value) { return value.is_string() && value.get_ref<const std::string&>().empty(); }

void remove_members(json& row, bool (*unwanted)(const json&)) {
  for (auto member = row.begin(); member != row.end();) {
    member = unwanted(*member) ? row.erase(member) : std::next(member);
  }
}

/// Drops the empty fields of a table's row if the rest is a row of the wanted kind.
void remove_empty_fields(json& row, Container container, std::optional<RowKind> wanted) {
  if (container != Container::csv && container != Container::tsv) {
    return;
  }
  json filled = row;
  remove_members(filled, is_empty_text);
  const std::optional<RowKind> kind = kind_of(filled);
  if (kind && (!wanted || kind == wanted)) {
    row = std::move(filled);
  }
}

/// State of reading the rows of a file.
struct FileReader {
  DatasetFile& file;
  std::optional<RowKind> format;  // required of every row
  std::optional<RowKind> kind{};  // of the first row: assumed for rows whose keys match no kind
};

/// The row. Throws Error(data) that begins with `location`.
Row read_row(FileReader& reader, json value, std::int64_t number, const std::string& location) {
  if (!value.is_object()) {
    fail_row(location,
             std::string("a row must be an object (it is of type ") + value.type_name() + "); expected " + kExpectedRows);
  }
  remove_members(value, [](const json& member) { return member.is_null(); });
  if (const std::string foreign = unsupported_row_reason(value); !reader.format && !foreign.empty()) {
    fail_row(location, foreign);
  }
  remove_empty_fields(value, reader.file.container, reader.format);
  const std::optional<RowKind> own = reader.format ? reader.format : kind_of(value);
  if (!own && !reader.kind) {
    fail_row(location, "a row with " + keys_of(value) + " fits no format; expected " + kExpectedRows);
  }
  const RowKind kind = own.value_or(reader.kind.value_or(RowKind::text));
  const std::int64_t index = reader.file.row_count - 1;
  Row row{number, content_of(value, kind, location, reader.file.unknown_flags), index, kind};
  row.trained =
      kind == RowKind::ids || apply_row_flags(value, std::get_if<ChatRow>(&row.content), location, reader.file.unknown_flags);
  note_unused_columns(value, row, reader.file.unused_columns);
  if (index < kFirstRows) {
    reader.kind = reader.kind.value_or(kind);
  }
  return row;
}

}  // namespace

std::string_view name_of(RowKind kind) { return word_of(kRowKinds, std::optional(kind)); }

DatasetFile read_dataset_file(const std::filesystem::path& path, std::optional<RowKind> format, const WantedRow& wanted,
                              std::optional<std::int64_t> most_bad_rows) {
  DatasetFile out;
  FileReader reader{out, format};
  const std::string content = read_data_text(path);
  out.path = path;
  out.container = find_container(path, content);
  std::set<std::int64_t> only_for_kind;
  const auto looked_at = [&](std::int64_t index) {
    ++out.row_count;
    if (most_bad_rows && static_cast<std::int64_t>(out.bad_rows.size()) > *most_bad_rows) {
      return false;
    }
    const bool kept = wanted(index);
    if (!kept && index < kFirstRows) {
      only_for_kind.insert(index);
      return true;
    }
    return kept;
  };
  const auto bad_row = [&](std::int64_t number, const std::string& reason) {
    if (!most_bad_rows) {
      fail_row(location_in(path, out.container, number), reason);
    }
    if (!only_for_kind.contains(out.row_count - 1)) {
      out.bad_rows.push_back({number, reason});
    }
  };
  for_each_row(path, out.container, content,
               {looked_at,
                [&](std::int64_t number, json row) {
                  const std::string location = location_in(path, out.container, number);
                  try {
                    out.rows.push_back(read_row(reader, std::move(row), number, location));
                  } catch (const Error& e) {
                    if (!most_bad_rows || e.code() != ExitCode::data) {
                      throw;
                    }
                    bad_row(number, reason_without(location, e.what()));
                  }
                },
                bad_row});
  if (out.row_count == 0) {
    throw Error(ExitCode::data,
                path.string() + " holds no rows; give data.train and data.validation files with at least one each");
  }
  out.kind = reader.kind.value_or(out.rows.empty() ? RowKind::text : out.rows[0].kind);
  if (!format) {
    look_for_marks(out);
  }
  std::erase_if(out.rows, [&](const Row& row) { return only_for_kind.contains(row.index); });
  return out;
}

}  // namespace lora_dist

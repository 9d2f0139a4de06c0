// The meaning of a row: which kind it is, and its fields.
#include "src/data/formats.h"

#include <array>
#include <optional>

#include "src/core/error.h"
#include "src/io/file.h"

namespace lora_dist {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 5> kKindNames = {"alpaca", "chat", "qa", "text", "ids"};
constexpr const char* kExpected =
    "instruction and output (alpaca), messages (chat), question and answer or prompt and completion or prompt and response (qa), "
    "text, or input_ids";

struct KeyPair {
  const char* question;
  const char* answer;
};
constexpr std::array<KeyPair, 3> kQaKeys = {{{"question", "answer"}, {"prompt", "completion"}, {"prompt", "response"}}};

[[noreturn]] void fail_row(const std::string& place, const std::string& what) {
  throw Error(ExitCode::data, place + ": " + what);
}

/// The row's keys, for a message; never its values.
std::string keys_of(const json& row) {
  std::string out;
  for (const auto& [key, value] : row.items()) {
    if (out.size() > 120) {
      return out + ", ...";
    }
    out += (out.empty() ? "" : ", ") + key.substr(0, 40);
  }
  return out.empty() ? "no keys" : "the keys " + out;
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
  if (!found->is_string()) {
    fail_row(place, std::string("\"") + key + "\" must be text (it is of type " + found->type_name() + ")");
  }
  return found->get<std::string>();
}

std::string role_of(const std::string& name, const std::string& place) {
  if (name == "human" || name == "user") {
    return "user";
  }
  if (name == "gpt" || name == "assistant") {
    return "assistant";
  }
  if (name == "system") {
    return name;
  }
  fail_row(place, "the role \"" + name.substr(0, 40) + "\" is none of system, user, assistant");
}

ChatRow chat_row(const json& row, const std::string& place) {
  const bool plain = row.contains("messages");
  if (!plain && !row.contains("conversations")) {
    fail_row(place, "\"messages\" is missing; the row has " + keys_of(row));
  }
  const json& list = plain ? row["messages"] : row["conversations"];
  if (!list.is_array() || list.empty()) {
    fail_row(place, "messages must be a list of at least one {\"role\", \"content\"}");
  }
  ChatRow out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string here = place + ", message " + std::to_string(i + 1);
    if (!list[i].is_object()) {
      fail_row(here, "must be an object {\"role\", \"content\"}");
    }
    out.messages.push_back(
        {role_of(text_of(list[i], plain ? "role" : "from", here), here), text_of(list[i], plain ? "content" : "value", here)});
  }
  return out;
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
      return AlpacaRow{text_of(row, "instruction", place), text_of(row, "input", place, true), text_of(row, "output", place)};
    case RowKind::chat:
      return chat_row(row, place);
    case RowKind::qa:
      return qa_row(row, place);
    case RowKind::text:
      return TextRow{text_of(row, "text", place)};
    case RowKind::ids:
      return ids_row(row, place);
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
    throw Error(ExitCode::usage, "data.format = \"" + format.substr(0, 40) + "\" is none of auto, alpaca, chat, qa, text, ids");
  }
  return std::nullopt;
}

}  // namespace

std::string_view name_of(RowKind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

DatasetFile read_dataset_file(const std::filesystem::path& path, const std::string& format) {
  std::optional<RowKind> kind = kind_named(format);
  const std::string content = read_text_file(path, ExitCode::data);
  DatasetFile out;
  out.path = path;
  out.container = find_container(path, content);
  for_each_row(path, out.container, content, [&](std::int64_t number, const json& row) {
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
    out.rows.push_back({number, content_of(row, *kind, place)});
  });
  if (out.rows.empty()) {
    throw Error(ExitCode::data,
                path.string() + " holds no rows; give data.train and data.validation files with at least one each");
  }
  out.kind = *kind;
  return out;
}

}  // namespace lora_dist

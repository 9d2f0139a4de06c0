// Which kind of row a JSON object is, by the keys that have a value.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "src/data/row.h"

namespace lora_dist {

/// A question's key and its answer's.
struct KeyPair {
  const char* question;
  const char* answer;
};

/// The first pair of which the row has both.
std::optional<KeyPair> qa_keys_of(const nlohmann::ordered_json& row);

/// {"prompt": [messages], "completion": [messages]}, TRL's conversational form.
bool has_message_lists(const nlohmann::ordered_json& row);

/// Texts whose speakers alternate: {"data": [...]} of UltraChat, {"conversations": [...]} of LIMA.
bool is_alternating_texts(const nlohmann::ordered_json& list);

/// The list of messages of a row: "messages", "conversations", "conversation", or "data" of texts; nullptr where there is none.
const nlohmann::ordered_json* message_list_of(const nlohmann::ordered_json& row);

/// Of a row without members that are null. Texts with marks are text here; none where the keys fit no kind.
std::optional<RowKind> kind_of(const nlohmann::ordered_json& row);

/// Why a row that is some other program's data is not read, as the rest of a message; empty for any other row: preferences
/// (chosen and rejected, or a completion with a label), trees of messages, one message alone, questions whose answer is no text.
std::string unsupported_row_reason(const nlohmann::ordered_json& row);

/// True if a key means something in some kind of row.
bool is_known_key(std::string_view key);

/// The row's keys, for a message, by name where they are known, since a key may be data; never its values.
std::string keys_of(const nlohmann::ordered_json& row);

/// The kinds of rows, for an error message.
inline constexpr const char* kExpectedRows =
    "instruction and output (alpaca), messages (chat), question and answer or prompt and completion or prompt and response (qa), "
    "text, or input_ids";

}  // namespace lora_dist

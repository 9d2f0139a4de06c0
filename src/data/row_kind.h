// Determines the kind of a row by its non-null keys.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "src/data/row.h"

namespace lora_dist {

/// The keys of a question and its answer.
struct KeyPair {
  const char* question;
  const char* answer;
};

/// The first pair whose keys the row both has.
std::optional<KeyPair> qa_keys_of(const nlohmann::ordered_json& row);

/// {"prompt": [messages], "completion": [messages]}, TRL's conversational form.
bool has_message_lists(const nlohmann::ordered_json& row);

/// Texts with alternating speakers: {"data": [...]} of UltraChat, {"conversations": [...]} of LIMA.
bool is_alternating_texts(const nlohmann::ordered_json& list);

/// The list of messages of a row: "messages", "conversations", "conversation", or "data" of texts; nullptr if none.
const nlohmann::ordered_json* message_list_of(const nlohmann::ordered_json& row);

/// The kind of a row without null members. Marked texts are `text` here; nullopt if the keys match no kind.
std::optional<RowKind> kind_of(const nlohmann::ordered_json& row);

/// The reason why a known but unsupported row is rejected, as the rest of a message; else empty. Unsupported: preferences (chosen
/// and rejected, or a completion with a label), message trees, a single message, answers that are not text.
std::string unsupported_row_reason(const nlohmann::ordered_json& row);

/// True if a kind of row uses the key.
bool is_known_key(std::string_view key);

/// The row's keys, for a message: names of known keys only, since an unknown key may be data; never values.
std::string keys_of(const nlohmann::ordered_json& row);

/// The kinds of rows, for an error message.
inline constexpr const char* kExpectedRows =
    "instruction and output (alpaca), messages (chat), question and answer or prompt and completion or prompt and response (qa), "
    "text, or input_ids";

}  // namespace lora_dist

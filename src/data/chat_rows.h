// Reads conversation rows into the form of chat templates: a list of {"role", "content", ...} and an optional list of tools.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/data/row.h"
#include "src/data/train_flags.h"

namespace lora_dist {

/// docs/configuration.md ([data]) lists the keys of messages, their formats and the names of speakers (under "from" in either
/// case). Content is text or a list of parts; it is optional with tool_calls or reasoning. The value of a message from
/// function_call is parsed as JSON ({name, arguments}, or a list of them) into tool_calls; otherwise it is the content. Null
/// members are dropped.
///
/// "prompt" and "completion", both lists of messages: only the completion is trained. A list of texts (also "data"): user and
/// assistant alternate. A text "system" or "system_prompt" becomes the first message, unless there is a system message already.
/// "tools": a list, or a JSON text of one; else OpenAI's older "functions".
///
/// Training flags are removed from the messages (train_flags.h). Throws Error(data) that begins with `location`.
ChatRow read_chat_row(const nlohmann::ordered_json& row, const std::string& location, UnknownFlags& unknown);
ChatRow read_chat_row(const nlohmann::ordered_json& row, const std::string& location);

/// The first non-empty text of "system" and "system_prompt"; empty if none. Throws Error(data) that begins with `location` if one
/// is not text.
std::string system_prompt_of(const nlohmann::ordered_json& row, const std::string& location);

/// True if a message calls tools.
bool has_calls(const nlohmann::ordered_json& message);

/// True if a message is empty: no content except white space, no calls, no reasoning.
bool says_nothing(const nlohmann::ordered_json& message);

/// The number of the assistant's empty messages.
std::int64_t empty_answers(const ChatRow& row);

/// Role and text of a message, for the built-in templates.
struct ChatMessage {
  std::string role, content;  // system, user or assistant
  MessageTraining training = MessageTraining::by_role;
};

/// Throws Error(data) that begins with `location` for another role, tool calls, content that is not text, or partly trained
/// content.
std::vector<ChatMessage> plain_messages(const ChatRow& row, const std::string& location);

}  // namespace lora_dist

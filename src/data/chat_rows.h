// Rows that are conversations, as templates want them: a list of {"role", "content", ...} and perhaps a list of tools.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/data/row.h"
#include "src/data/train_flags.h"

namespace lora_dist {

/// The lists that may hold the messages, the spellings of a message and the names of speakers (under "from" in letters of either
/// case) are listed in docs/configuration.md ([data]). Content is text, or a list of parts; it may be absent where there are
/// tool_calls, or reasoning. A message from function_call has the calls that its value spells as JSON ({name, arguments}, or a
/// list of them) as tool_calls, or value as its content where it spells none. Members that are null are left out.
///
/// "prompt" and "completion", both lists of messages: those of the completion alone are trained. A list of texts ("data" too):
/// the user's and the assistant's in turn. A text "system" or "system_prompt" beside them is a message before them, unless they
/// begin with a system message. "tools": a list, or a text that spells one; else OpenAI's older "functions".
///
/// Keys that say what is trained are taken out of the messages (train_flags.h). Throws Error(data) that begins with `place`.
ChatRow read_chat_row(const nlohmann::ordered_json& row, const std::string& place, UnknownFlags& unknown);
ChatRow read_chat_row(const nlohmann::ordered_json& row, const std::string& place);

/// The text "system" or "system_prompt" of a row, the first that is not empty; empty where there is none. Throws Error(data) that
/// begins with `place` where one is no text.
std::string system_prompt_of(const nlohmann::ordered_json& row, const std::string& place);

/// True if a message calls tools.
bool has_calls(const nlohmann::ordered_json& message);

/// True if a message says nothing: no content but white space, no calls, no reasoning.
bool says_nothing(const nlohmann::ordered_json& message);

/// The assistant's messages that say nothing.
std::int64_t empty_answers(const ChatRow& row);

/// Role and text of a message, for templates that know nothing else.
struct ChatMessage {
  std::string role, content;  // system, user or assistant
  MessageTraining training = MessageTraining::by_role;
};

/// Throws Error(data) that begins with `place` for another role, calls of tools, content that is not text, or content that is
/// trained in part.
std::vector<ChatMessage> plain_messages(const ChatRow& row, const std::string& place);

}  // namespace lora_dist

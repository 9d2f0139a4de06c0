// Rows that are conversations, as templates want them: a list of {"role", "content", ...} and perhaps a list of tools.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/data/row.h"

namespace lora_dist {

/// "messages": objects with a role and a content (text, or a list of parts), passed on as they are but for the roles human and
/// gpt, which are user and assistant; content may be null or absent where there are tool_calls.
/// "conversations": {from, value} with from human, user, gpt, assistant, system, tool, observation (a tool's answer) or
/// function_call: an assistant's message whose tool_calls are the calls that value spells as JSON ({name, arguments}, or a list
/// of them), or whose content is value where it spells none. A text "system" beside them is a message before them.
/// "tools": a list, or a text that spells one. Throws Error(data) that begins with `place`.
ChatRow read_chat_row(const nlohmann::ordered_json& row, const std::string& place);

/// Whether a message calls tools.
bool has_calls(const nlohmann::ordered_json& message);

/// Whether a message says nothing: no content but white space, no calls, no reasoning.
bool says_nothing(const nlohmann::ordered_json& message);

/// The assistant's messages that say nothing.
std::int64_t empty_answers(const ChatRow& row);

/// Role and text of a message, for templates that know nothing else.
struct ChatMessage {
  std::string role, content;  // system, user or assistant
};

/// Throws Error(data) that begins with `place` for another role, calls of tools, or content that is not text.
std::vector<ChatMessage> plain_messages(const ChatRow& row, const std::string& place);

}  // namespace lora_dist

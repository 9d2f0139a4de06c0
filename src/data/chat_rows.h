// Rows that are conversations, as templates want them: a list of {"role", "content", ...} and perhaps a list of tools.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "src/data/row.h"
#include "src/data/train_flags.h"

namespace lora_dist {

/// "messages", "conversations" or "conversation": a list of objects, each {role, content, ...} or {from, value, ...}. Content is
/// text, or a list of parts; it may be absent where there are tool_calls, or reasoning. Roles are passed on as they are but for
/// the names of other programs: human is user; gpt, model, bot and chatgpt are assistant; function and function_response are
/// tool. Under "from" the names, in letters of either case, are human, user, gpt, assistant, model, bot, chatgpt, system,
/// developer; tool, observation, function, function_response, tool_response and ipython (a tool's answer); and function_call: an
/// assistant's message whose tool_calls are the calls that value spells as JSON ({name, arguments}, or a list of them), or whose
/// content is value where it spells none. OpenAI's older "function_call" of a message is one of its tool_calls. Members that are
/// null are left out.
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

/// Whether a message calls tools.
bool has_calls(const nlohmann::ordered_json& message);

/// Whether a message says nothing: no content but white space, no calls, no reasoning.
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

// The two spellings of a conversation: OpenAI's and ShareGPT's.
#include "src/data/chat_rows.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "src/chat_template/chat_template.h"
#include "src/data/row_fields.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kSpeakers = {{{"human", "user"},
                                                                                     {"user", "user"},
                                                                                     {"gpt", "assistant"},
                                                                                     {"assistant", "assistant"},
                                                                                     {"system", "system"},
                                                                                     {"tool", "tool"},
                                                                                     {"observation", "tool"},
                                                                                     {"function_call", "assistant"}}};

const std::string& text_of(const json& message, const char* key, const std::string& place) {
  const auto found = message.find(key);
  if (found == message.end()) {
    fail_row(place, std::string("\"") + key + "\" is missing");
  }
  return text_value(*found, key, place);
}

json read_message(const json& message, const std::string& place) {
  json out = message;
  const std::string& role = text_of(message, "role", place);
  if (role == "human" || role == "gpt") {
    out["role"] = role == "human" ? "user" : "assistant";
  }
  const auto content = message.find("content");
  if ((content == message.end() || content->is_null()) && has_calls(message)) {
    return out;
  }
  if (content == message.end() || !content->is_array()) {
    text_of(message, "content", place);
  }
  return out;
}

bool is_call(const json& value) { return value.is_object() && value.contains("name") && value.contains("arguments"); }

/// {"name", "arguments"}, or a list of them, as tool_calls; null for anything else.
json calls_in(const std::string& text) {
  json value;
  try {
    value = parse_ordered_json(text);
  } catch (const JsonError&) {
    return nullptr;
  }
  if (!value.is_array()) {
    value = json::array({value});
  }
  if (value.empty() || !std::all_of(value.begin(), value.end(), is_call)) {
    return nullptr;
  }
  json out = json::array();
  for (json& call : value) {
    out.push_back({{"type", "function"}, {"function", std::move(call)}});
  }
  return out;
}

json read_turn(const json& turn, const std::string& place) {
  const std::string& from = text_of(turn, "from", place);
  const std::string& value = text_of(turn, "value", place);
  const auto speaker = std::find_if(kSpeakers.begin(), kSpeakers.end(), [&](const auto& each) { return each.first == from; });
  if (speaker == kSpeakers.end()) {
    fail_row(place, "\"from\" is none of human, user, gpt, assistant, system, tool, observation, function_call");
  }
  json calls = from == "function_call" ? calls_in(value) : json();
  if (!calls.is_null()) {
    return {{"role", "assistant"}, {"tool_calls", std::move(calls)}};
  }
  return {{"role", speaker->second}, {"content", value}};
}

json read_tools(const json& row, const std::string& place) {
  const auto found = row.find("tools");
  if (found == row.end() || found->is_null() || (found->is_string() && found->get_ref<const std::string&>().empty())) {
    return nullptr;
  }
  json tools = *found;
  if (tools.is_string()) {
    try {
      tools = parse_ordered_json(found->get_ref<const std::string&>());
    } catch (const JsonError&) {
      fail_row(place, "\"tools\" is a text that is not JSON; it must spell a list of tools, or be one");
    }
  }
  if (!tools.is_array()) {
    fail_row(place, std::string("\"tools\" must be a list (it is of type ") + tools.type_name() + ")");
  }
  return tools;
}

/// White space, nothing at all, or a list of such parts.
bool is_blank_content(const json& content) {
  if (content.is_array()) {
    return std::all_of(content.begin(), content.end(), [](const json& part) {
      const auto text = part.is_object() ? part.find("text") : part.end();
      return part.is_object() && text != part.end() && is_blank_content(*text);
    });
  }
  return content.is_null() || (content.is_string() && is_blank(content.get_ref<const std::string&>()));
}

}  // namespace

bool has_calls(const json& message) {
  const auto calls = message.find("tool_calls");
  return calls != message.end() && calls->is_array() && !calls->empty();
}

bool says_nothing(const json& message) {
  const auto blank = [&](const char* key) { return !message.contains(key) || is_blank_content(message[key]); };
  return !has_calls(message) && blank("content") && std::all_of(kReasoningKeys.begin(), kReasoningKeys.end(), blank);
}

std::int64_t empty_answers(const ChatRow& row) {
  return std::count_if(row.messages.begin(), row.messages.end(),
                       [](const json& message) { return message.value("role", "") == "assistant" && says_nothing(message); });
}

ChatRow read_chat_row(const json& row, const std::string& place) {
  const bool plain = row.contains("messages");
  const json& list = plain ? row["messages"] : row["conversations"];
  if (!list.is_array() || list.empty()) {
    fail_row(place, "messages must be a list of at least one {\"role\", \"content\"}");
  }
  ChatRow out{json::array(), read_tools(row, place)};
  const auto system = row.find("system");
  if (!plain && system != row.end() && system->is_string() && !system->get_ref<const std::string&>().empty()) {
    out.messages.push_back({{"role", "system"}, {"content", *system}});
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string here = place + ", message " + std::to_string(i + 1);
    if (!list[i].is_object()) {
      fail_row(here, plain ? "must be an object {\"role\", \"content\"}" : "must be an object {\"from\", \"value\"}");
    }
    out.messages.push_back(plain ? read_message(list[i], here) : read_turn(list[i], here));
  }
  return out;
}

std::vector<ChatMessage> plain_messages(const ChatRow& row, const std::string& place) {
  std::vector<ChatMessage> out;
  for (std::size_t i = 0; i < row.messages.size(); ++i) {
    const json& message = row.messages[i];
    const std::string here = place + ", message " + std::to_string(i + 1);
    const std::string role = message["role"].get<std::string>();
    if (role != "system" && role != "user" && role != "assistant") {
      fail_row(here,
               "the role is none of system, user, assistant; data.template = \"tokenizer\" leaves roles to the model's own chat "
               "template");
    }
    const auto content = message.find("content");
    if (has_calls(message) || content == message.end() || !content->is_string()) {
      fail_row(here, "calls of tools and content in parts have no place in this template; use data.template = \"tokenizer\"");
    }
    out.push_back({role, content->get<std::string>()});
  }
  return out;
}

}  // namespace lora_dist

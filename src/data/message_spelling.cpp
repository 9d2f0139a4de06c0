// OpenAI's and ShareGPT's message formats, with other programs' names of speakers.
#include "src/data/message_spelling.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>

#include "src/chat_template/chat_template.h"
#include "src/data/chat_rows.h"
#include "src/data/row_fields.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

using Speaker = std::pair<std::string_view, std::string_view>;  // a name in files, the template's role

// Names under "from".
constexpr std::array<Speaker, 16> kSpeakers = {{{"human", "user"},
                                                {"user", "user"},
                                                {"gpt", "assistant"},
                                                {"assistant", "assistant"},
                                                {"model", "assistant"},
                                                {"bot", "assistant"},
                                                {"chatgpt", "assistant"},
                                                {"system", "system"},
                                                {"developer", "developer"},
                                                {"tool", "tool"},
                                                {"observation", "tool"},
                                                {"function", "tool"},
                                                {"function_response", "tool"},
                                                {"tool_response", "tool"},
                                                {"ipython", "tool"},
                                                {"function_call", "assistant"}}};

// Names under "role", where template-specific names (ipython, observation) are kept.
constexpr std::array<Speaker, 8> kRoles = {{{"human", "user"},
                                            {"gpt", "assistant"},
                                            {"model", "assistant"},
                                            {"bot", "assistant"},
                                            {"chatgpt", "assistant"},
                                            {"function", "tool"},
                                            {"function_response", "tool"},
                                            {"function_call", "assistant"}}};

std::string_view role_of(std::span<const Speaker> speakers, std::string_view name) {
  const auto found = std::find_if(speakers.begin(), speakers.end(), [&](const Speaker& each) { return each.first == name; });
  return found == speakers.end() ? std::string_view() : found->second;
}

const std::string& text_of(const json& message, const char* key, const std::string& location) {
  const auto found = message.find(key);
  if (found == message.end()) {
    fail_row(location, std::string("\"") + key + "\" is missing");
  }
  return text_value(*found, key, location);
}

bool is_call(const json& value) { return value.is_object() && value.contains("name") && value.contains("arguments"); }

/// Converts {"name", "arguments"}, or a list of them, to tool_calls; null for other values.
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

/// Converts from and value to role and content. Both formats occur under both list names.
void spell_as_message(json& message, const std::string& location) {
  if (message.contains("role") || !message.contains("from")) {
    const std::string name = text_of(message, "role", location);
    if (const std::string_view role = role_of(kRoles, name); !role.empty()) {
      message["role"] = role;
    }
    return;
  }
  const std::string_view role = role_of(kSpeakers, ascii_lower(text_of(message, "from", location)));
  if (role.empty()) {
    fail_row(
        location,
        "\"from\" is none of human, user, gpt, assistant, model, bot, chatgpt, system, developer, tool, observation, function, "
        "function_response, tool_response, ipython, function_call");
  }
  if (!message.contains("content")) {
    text_of(message, "value", location);
  }
  json out = {{"role", role}};
  for (auto& [key, value] : message.items()) {
    if (key != "from") {
      out[key == "value" ? "content" : key] = std::move(value);
    }
  }
  message = std::move(out);
}

/// Converts OpenAI's older function_call, and messages from function_call, to tool calls.
void spell_calls(json& message, bool content_spells_them) {
  const auto old = message.find("function_call");
  if (old != message.end() && old->is_object()) {
    json call = {{"type", "function"}, {"function", *old}};
    message.erase("function_call");
    message["tool_calls"] = json::array({std::move(call)});
  }
  const auto content = message.find("content");
  if (content_spells_them && content != message.end() && content->is_string()) {
    json calls = calls_in(content->get_ref<const std::string&>());
    if (!calls.is_null()) {
      message.erase("content");
      message["tool_calls"] = std::move(calls);
    }
  }
}

void check_content(const json& message, const std::string& location) {
  const auto content = message.find("content");
  const bool thinks =
      std::any_of(kReasoningKeys.begin(), kReasoningKeys.end(), [&](const char* key) { return message.contains(key); });
  if (content == message.end() && (has_calls(message) || thinks)) {
    return;
  }
  if (content == message.end() || !content->is_array()) {
    text_of(message, "content", location);
  }
}

void remove_nulls(json& object) {
  for (auto member = object.begin(); member != object.end();) {
    member = member->is_null() ? object.erase(member) : std::next(member);
  }
}

}  // namespace

json read_message(const json& message, const std::string& location) {
  json out = message;
  remove_nulls(out);
  const auto name = out.find(out.contains("role") ? "role" : "from");
  const bool spells_calls = name != out.end() && *name == "function_call";
  spell_as_message(out, location);
  spell_calls(out, spells_calls);
  check_content(out, location);
  return out;
}

}  // namespace lora_dist

// Reads the formats of conversations: OpenAI's, ShareGPT's, TRL's and UltraChat's.
#include "src/data/chat_rows.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "src/chat_template/chat_template.h"
#include "src/data/message_spelling.h"
#include "src/data/row_fields.h"
#include "src/data/row_kind.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using json = nlohmann::ordered_json;

/// Adds a message of the list, with its training flags.
void add_message(ChatRow& out, const json& message, const std::string& location, UnknownFlags& unknown) {
  if (!message.is_object()) {
    fail_row(location, "must be an object {\"role\", \"content\"} or {\"from\", \"value\"}");
  }
  json added = read_message(message, location);
  take_train_detail(added, out.messages.size(), location, out.untrained_parts);
  out.training.push_back(take_training(added, location, unknown));
  out.messages.push_back(std::move(added));
}

void add_messages(ChatRow& out, const json& list, const std::string& location, UnknownFlags& unknown) {
  if (!list.is_array() || list.empty()) {
    fail_row(location, "messages must be a list of at least one {\"role\", \"content\"}");
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    add_message(out, list[i], location + ", message " + std::to_string(i + 1), unknown);
  }
}

/// TRL's {"prompt", "completion"}: only the completion's answers and flagged messages of the prompt are trained.
void add_prompt_and_completion(ChatRow& out, const json& row, const std::string& location, UnknownFlags& unknown) {
  add_messages(out, row["prompt"], location, unknown);
  std::replace(out.training.begin(), out.training.end(), MessageTraining::by_role, MessageTraining::prompt);
  add_messages(out, row["completion"], location, unknown);
}

void add_alternating_texts(ChatRow& out, const json& texts) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    out.messages.push_back({{"role", i % 2 == 0 ? "user" : "assistant"}, {"content", texts[i]}});
    out.training.push_back(MessageTraining::by_role);
  }
}

/// Prepends the row's system prompt, unless the messages begin with one.
void add_system_prompt(ChatRow& out, const json& row, const json* list, const std::string& location) {
  const std::string system = system_prompt_of(row, location);
  const bool has_own = list != nullptr && list->is_array() && !list->empty() && (*list)[0].is_object() &&
                       ((*list)[0].value("role", json()) == "system" || (*list)[0].value("from", json()) == "system");
  if (!system.empty() && !has_own) {
    out.messages.push_back({{"role", "system"}, {"content", system}});
    out.training.push_back(MessageTraining::by_role);
  }
}

/// Converts OpenAI's older "functions" to tools.
json tools_of_functions(const json& functions) {
  json out = json::array();
  for (const json& function : functions) {
    out.push_back({{"type", "function"}, {"function", function}});
  }
  return out;
}

json read_tools(const json& row, const std::string& location) {
  const auto functions = row.find("functions");
  const auto found = row.find("tools");
  if (found == row.end() && functions != row.end() && functions->is_array()) {
    return tools_of_functions(*functions);
  }
  if (found == row.end() || found->is_null() || (found->is_string() && found->get_ref<const std::string&>().empty())) {
    return nullptr;
  }
  json tools = *found;
  if (tools.is_string()) {
    try {
      tools = parse_ordered_json(found->get_ref<const std::string&>());
    } catch (const JsonError&) {
      fail_row(location, "\"tools\" is a text that is not JSON; it must spell a list of tools, or be one");
    }
  }
  if (!tools.is_array()) {
    fail_row(location, std::string("\"tools\" must be a list (it is of type ") + tools.type_name() + ")");
  }
  return tools;
}

/// White space, null, or a list of such parts.
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

std::string system_prompt_of(const json& row, const std::string& location) {
  std::string out;
  for (const char* key : {"system", "system_prompt"}) {
    if (const auto found = row.find(key); found != row.end() && !found->is_null()) {
      const std::string& text = text_value(*found, key, location);
      out = out.empty() ? text : out;
    }
  }
  return out;
}

ChatRow read_chat_row(const json& row, const std::string& location, UnknownFlags& unknown) {
  ChatRow out{json::array(), read_tools(row, location)};
  const json* list = message_list_of(row);
  const bool two_lists = list == nullptr && has_message_lists(row);
  add_system_prompt(out, row, two_lists ? &row["prompt"] : list, location);
  if (two_lists) {
    add_prompt_and_completion(out, row, location, unknown);
  } else if (list != nullptr && is_alternating_texts(*list)) {
    add_alternating_texts(out, *list);
  } else {
    add_messages(out, list == nullptr ? json() : *list, location, unknown);
  }
  const bool by_role = std::all_of(out.training.begin(), out.training.end(),
                                   [](MessageTraining training) { return training == MessageTraining::by_role; });
  out.training.resize(by_role ? 0 : out.training.size());
  return out;
}

ChatRow read_chat_row(const json& row, const std::string& location) {
  UnknownFlags unknown;
  return read_chat_row(row, location, unknown);
}

std::vector<ChatMessage> plain_messages(const ChatRow& row, const std::string& location) {
  std::vector<ChatMessage> out;
  for (std::size_t i = 0; i < row.messages.size(); ++i) {
    const json& message = row.messages[i];
    const std::string here = location + ", message " + std::to_string(i + 1);
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
    const auto& parts = row.untrained_parts;
    if (std::any_of(parts.begin(), parts.end(), [&](const UntrainedPart& part) { return part.message == i; })) {
      fail_row(here, "\"train_detail\" has no place in this template; use data.template = \"tokenizer\"");
    }
    out.push_back({role, content->get<std::string>(), row.training_of(i)});
  }
  return out;
}

}  // namespace lora_dist

// Chooses, parses and renders (transformers/utils/chat_template_utils.py).
#include "src/chat_template/chat_template.h"

#include <map>

#include "src/chat_template/named_templates.h"
#include "src/chat_template/template_date.h"
#include "src/core/error.h"

namespace lora_dist {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMostTemplateBytes = std::size_t{1} << 20;

std::string location_of(const ChatTemplate& chat_template, int line) {
  const std::string number = std::to_string(line);
  const std::string name = chat_template.name.empty() ? "" : " \"" + chat_template.name.substr(0, 40) + "\"";
  return chat_template.embedded ? chat_template.file.string() + ": chat_template" + name + ", line " + number
                                : chat_template.file.string() + ":" + number;
}

std::string names_of(const std::map<std::string, TemplateText>& templates) {
  std::string out;
  for (const auto& [name, text] : templates) {
    out += (out.empty() ? "" : ", ") + name.substr(0, 40);
  }
  return out.substr(0, 400);
}

/// Drops null members, and passes the reasoning under every name that templates use.
ordered_json plain_message(const ordered_json& message) {
  ordered_json out = ordered_json::object();
  for (const auto& [key, value] : message.items()) {
    if (!value.is_null()) {
      out[key] = value;
    }
  }
  for (const char* name : kReasoningKeys) {
    if (const auto found = out.find(name); found != out.end()) {
      const ordered_json reasoning = *found;
      ordered_json aliased = {{"thinking", reasoning}};
      aliased.update(out);
      aliased["reasoning_content"] = reasoning;
      return aliased;
    }
  }
  return out;
}

/// One span per message; empty for messages printed by no loop iteration, or by several.
std::vector<jinja::OutputSpan> spans_of(const std::vector<jinja::MessageIteration>& iterations, std::size_t messages) {
  std::vector<jinja::OutputSpan> out(messages);
  std::vector<int> count(messages, 0);
  for (const jinja::MessageIteration& iteration : iterations) {
    out[iteration.message] = ++count[iteration.message] == 1 ? iteration.printed : jinja::OutputSpan{};
  }
  return out;
}

}  // namespace

ChatTemplate parse_chat_template(std::string source, std::filesystem::path file, bool embedded, std::string name) {
  ChatTemplate out{nullptr, std::move(source), std::move(file), embedded, std::move(name)};
  if (out.source.size() > kMostTemplateBytes) {
    throw Error(ExitCode::model, out.file.string() + ": the chat template is larger than 1 MiB");
  }
  try {
    out.program = std::make_shared<const jinja::Block>(jinja::parse_template(out.source));
  } catch (const jinja::TemplateError& e) {
    throw Error(ExitCode::model, location_of(out, e.line()) + ": the chat template is malformed: " + e.what());
  }
  return out;
}

std::optional<ChatTemplate> open_chat_template(const std::filesystem::path& model_folder) {
  const std::map<std::string, TemplateText> all = read_named_templates(model_folder);
  if (all.empty()) {
    return std::nullopt;
  }
  const auto parsed = [&](const TemplateText& text, const std::string& name) {
    return parse_chat_template(text.source, text.file, text.embedded, all.size() > 1 ? name : "");
  };
  const auto found = all.find("default");
  if (found == all.end()) {
    throw Error(ExitCode::model, model_folder.string() + " has chat templates named " + names_of(all) +
                                     ", but none named default; name the one to use default (or put it into "
                                     "chat_template.jinja), or choose another data.template");
  }
  ChatTemplate out = parsed(found->second, "default");
  if (const auto tools = all.find("tool_use"); tools != all.end()) {
    out.with_tools = std::make_shared<const ChatTemplate>(parsed(tools->second, "tool_use"));
  }
  return out;
}

const ChatTemplate& template_for(const ChatTemplate& chat_template, const nlohmann::ordered_json& tools) {
  return chat_template.with_tools && !tools.is_null() ? *chat_template.with_tools : chat_template;
}

bool asks_for_date(const ChatTemplate& chat_template) {
  return asks_for_date(chat_template.source) || (chat_template.with_tools && asks_for_date(*chat_template.with_tools));
}

RenderedChat render_chat(const ChatTemplate& chat_template, const Conversation& conversation, const jinja::Limits& limits) {
  const ChatTemplate& chosen = template_for(chat_template, conversation.tools);
  jinja::Interpreter interpreter;
  interpreter.limits = limits;
  interpreter.now = chat_template.now.value_or(chat_template_time());
  try {
    ordered_json messages = ordered_json::array();
    for (const ordered_json& message : conversation.messages) {
      messages.push_back(plain_message(message));
    }
    interpreter.globals = {{"messages", jinja::value_of_json(messages)},
                           {"tools", jinja::value_of_json(conversation.tools)},
                           {"documents", jinja::None{}},
                           {"add_generation_prompt", conversation.add_generation_prompt}};
    for (const auto& [name, token] : conversation.special_tokens) {
      interpreter.globals.emplace_back(name, token);
    }
    const jinja::List& all = *interpreter.globals[0].second.list();
    for (std::size_t i = 0; i < all.items.size(); ++i) {
      interpreter.messages.emplace(all.items[i].dict(), i);
    }
    interpreter.run(*chosen.program, std::make_shared<jinja::Scope>());
  } catch (const jinja::RaisedByTemplate& e) {
    throw RenderError(e.what(), location_of(chosen, interpreter.line));
  } catch (const jinja::TemplateError& e) {
    throw RenderError(location_of(chosen, interpreter.line) + ": " + e.what());
  }
  std::vector<jinja::OutputSpan> of_message = spans_of(interpreter.iterations, conversation.messages.size());
  return {std::move(interpreter.output), std::move(interpreter.generated), std::move(of_message)};
}

}  // namespace lora_dist

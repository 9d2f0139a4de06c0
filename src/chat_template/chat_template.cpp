// Finds, parses and renders (transformers/utils/chat_template_utils.py).
#include "src/chat_template/chat_template.h"

#include <array>
#include <cstdlib>

#include "src/core/error.h"
#include "src/io/file.h"
#include "src/io/strict_json.h"

namespace lora_dist {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::size_t kMostTemplateBytes = std::size_t{1} << 20;

std::string place_of(const ChatTemplate& chat_template, int line) {
  const std::string number = std::to_string(line);
  return chat_template.embedded ? chat_template.file.string() + ": chat_template, line " + number
                                : chat_template.file.string() + ":" + number;
}

/// The template of tokenizer_config.json's list that is used without tools.
std::string default_of(const json& list, const std::filesystem::path& file) {
  std::string names;
  for (const json& item : list) {
    const bool fits = item.is_object() && item.contains("name") && item["name"].is_string() && item.contains("template") &&
                      item["template"].is_string();
    if (!fits) {
      throw Error(ExitCode::model, file.string() + ": chat_template must be a text, or a list of {\"name\", \"template\"}");
    }
    if (item["name"] == "default") {
      return item["template"].get<std::string>();
    }
    names += (names.empty() ? "" : ", ") + item["name"].get<std::string>().substr(0, 40);
  }
  throw Error(ExitCode::model,
              file.string() + ": chat_template has no template named default (it has " + (names.empty() ? "none" : names) + ")");
}

/// Members that are null are left out, and the reasoning is given under each name that templates know.
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

}  // namespace

ChatTemplate parse_chat_template(std::string source, std::filesystem::path file, bool embedded) {
  ChatTemplate out{nullptr, std::move(source), std::move(file), embedded};
  if (out.source.size() > kMostTemplateBytes) {
    throw Error(ExitCode::model, out.file.string() + ": the chat template is larger than 1 MiB");
  }
  try {
    out.program = std::make_shared<const jinja::Block>(jinja::parse_template(out.source));
  } catch (const jinja::TemplateError& e) {
    throw Error(ExitCode::model, place_of(out, e.line()) + ": the chat template is malformed: " + e.what());
  }
  return out;
}

std::optional<ChatTemplate> open_chat_template(const std::filesystem::path& model_folder) {
  const std::filesystem::path own = model_folder / "chat_template.jinja";
  if (std::filesystem::exists(own)) {
    return parse_chat_template(read_text_file(own, ExitCode::model), own, false);
  }
  const std::filesystem::path config = model_folder / "tokenizer_config.json";
  if (!std::filesystem::exists(config)) {
    return std::nullopt;
  }
  const json document = read_json_file(config, ExitCode::model);
  const auto found = document.is_object() ? document.find("chat_template") : document.end();
  if (found == document.end() || found->is_null()) {
    return std::nullopt;
  }
  if (!found->is_string() && !found->is_array()) {
    throw Error(ExitCode::model, config.string() + ": chat_template must be a text, or a list of {\"name\", \"template\"}");
  }
  return parse_chat_template(found->is_string() ? found->get<std::string>() : default_of(*found, config), config, true);
}

std::time_t chat_template_time() {
  const char* fixed = std::getenv("SOURCE_DATE_EPOCH");
  return fixed != nullptr ? static_cast<std::time_t>(std::strtoll(fixed, nullptr, 10)) : std::time(nullptr);
}

RenderedChat render_chat(const ChatTemplate& chat_template, const Conversation& conversation, const jinja::Limits& limits) {
  jinja::Interpreter interpreter;
  interpreter.limits = limits;
  interpreter.now = chat_template_time();
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
    interpreter.run(*chat_template.program, std::make_shared<jinja::Scope>());
  } catch (const jinja::RaisedByTemplate& e) {
    throw RenderError(std::string(e.what()) + " (" + place_of(chat_template, interpreter.line) + ")", true);
  } catch (const jinja::TemplateError& e) {
    throw RenderError(place_of(chat_template, interpreter.line) + ": " + e.what(), false);
  }
  return {std::move(interpreter.output), std::move(interpreter.generated)};
}

}  // namespace lora_dist

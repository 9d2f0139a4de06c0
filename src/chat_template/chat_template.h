// A model folder's chat template, rendered like Hugging Face transformers.
#pragma once

#include <array>
#include <ctime>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/chat_template/interpreter.h"

namespace lora_dist {

struct ChatTemplate {
  std::shared_ptr<const jinja::Block> program;
  std::string source;
  std::filesystem::path file;        // the template's file
  bool embedded = false;             // in tokenizer_config.json: line numbers are the template's, not the file's
  std::string name{};                // of a named template
  std::optional<std::time_t> now{};  // the result of strftime_now; nullopt: chat_template_time()
  bool show_text = true;             // errors may include the template's refusal text, which may quote the conversation
  std::shared_ptr<const ChatTemplate> with_tools{};  // the template for conversations with tools
};

/// A rendering error, with the template's file and line. refused: the template raised it (raise_exception), so the conversation
/// is invalid; words: the template's message, without file and line.
class RenderError : public std::runtime_error {
 public:
  explicit RenderError(const std::string& what) : std::runtime_error(what) {}
  RenderError(const std::string& words, const std::string& location)
      : std::runtime_error(words + " (" + location + ")"), refused_(true), words_(words) {}
  bool refused() const { return refused_; }
  const std::string& words() const { return words_; }

 private:
  bool refused_ = false;
  std::string words_;
};

/// The folder's template (read_named_templates) named "default", and "tool_use" for conversations with tools. nullopt if the
/// folder has none. Throws Error(model) with file and line for a syntax error, and with the existing names if "default" is
/// missing.
std::optional<ChatTemplate> open_chat_template(const std::filesystem::path& model_folder);

/// `file`, `embedded` and `name` as in ChatTemplate. Throws Error(model) like open_chat_template.
ChatTemplate parse_chat_template(std::string source, std::filesystem::path file, bool embedded, std::string name = "");

/// The keys of a message's reasoning.
inline constexpr std::array<const char*, 3> kReasoningKeys = {"reasoning_content", "thinking", "reasoning"};

struct Conversation {
  nlohmann::ordered_json messages;  // a list of objects; null members are dropped
  nlohmann::ordered_json tools{};   // a list, or null
  bool add_generation_prompt = false;
  std::vector<std::pair<std::string, std::string>> special_tokens{};  // bos_token, eos_token, ...
};

/// The template for a conversation with these tools (a list, or null).
const ChatTemplate& template_for(const ChatTemplate& chat_template, const nlohmann::ordered_json& tools);

struct RenderedChat {
  std::string text;
  std::vector<jinja::OutputSpan> generated;  // bytes printed by {% generation %} blocks, in order
  /// Per message, the bytes printed by the loop iteration over it; empty if there is none, or several.
  std::vector<jinja::OutputSpan> of_message;
};

/// True if a template uses the date or time.
bool asks_for_date(const ChatTemplate& chat_template);

/// Deterministic (strftime_now returns `now`). Throws RenderError.
RenderedChat render_chat(const ChatTemplate& chat_template, const Conversation& conversation, const jinja::Limits& limits = {});

}  // namespace lora_dist

// A model folder's chat template: conversations to the text that the model was taught on, as Hugging Face transformers renders
// it.
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
  std::filesystem::path file;        // where it was read
  bool embedded = false;             // in tokenizer_config.json, so that lines are the template's and not the file's
  std::string name{};                // where it is one of several
  std::optional<std::time_t> now{};  // what strftime_now tells; none: chat_template_time()
  bool show_text = true;             // whether an error may tell a refusal's own words, which may quote the conversation
  std::shared_ptr<const ChatTemplate> with_tools{};  // in its place where a conversation has tools
};

/// Why a conversation could not be rendered, with the template's file and line. refused: the template itself said so
/// (raise_exception), so the conversation is at fault; words: what it said, without file and line.
class RenderError : public std::runtime_error {
 public:
  explicit RenderError(const std::string& what) : std::runtime_error(what) {}
  RenderError(const std::string& words, const std::string& place)
      : std::runtime_error(words + " (" + place + ")"), refused_(true), words_(words) {}
  bool refused() const { return refused_; }
  const std::string& words() const { return words_; }

 private:
  bool refused_ = false;
  std::string words_;
};

/// The folder's template (read_named_templates): the one named "default", and "tool_use" for conversations with tools. None where
/// the folder has none. Throws Error(model) with file and line for what is not a template, and with the names there are where
/// none of them is "default".
std::optional<ChatTemplate> open_chat_template(const std::filesystem::path& model_folder);

/// `file`, `embedded` and `name` as in ChatTemplate. Throws Error(model) as open_chat_template does.
ChatTemplate parse_chat_template(std::string source, std::filesystem::path file, bool embedded, std::string name = "");

/// Names under which a message may tell what was thought before the answer.
inline constexpr std::array<const char*, 3> kReasoningKeys = {"reasoning_content", "thinking", "reasoning"};

struct Conversation {
  nlohmann::ordered_json messages;  // a list of objects; members that are null are left out
  nlohmann::ordered_json tools{};   // a list, or null
  bool add_generation_prompt = false;
  std::vector<std::pair<std::string, std::string>> special_tokens{};  // bos_token, eos_token, ...
};

/// The one of the templates that renders a conversation with these tools (a list, or null).
const ChatTemplate& template_for(const ChatTemplate& chat_template, const nlohmann::ordered_json& tools);

struct RenderedChat {
  std::string text;
  std::vector<jinja::OutputSpan> generated;  // bytes printed by {% generation %} blocks, in order
  /// The bytes, for each message, printed by the round of a loop that it was the item of; empty where there was none, or several.
  std::vector<jinja::OutputSpan> of_message;
};

/// True if one of the templates asks for the date or the time.
bool asks_for_date(const ChatTemplate& chat_template);

/// Same input, same text (strftime_now tells `now`). Throws RenderError.
RenderedChat render_chat(const ChatTemplate& chat_template, const Conversation& conversation, const jinja::Limits& limits = {});

}  // namespace lora_dist

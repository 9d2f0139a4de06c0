// Converts conversations to ids and labels by the model's chat template.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/chat_template/chat_template.h"
#include "src/core/error.h"
#include "src/data/row.h"
#include "src/data/sample.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

/// The template of the tokenizer's folder. Throws Error(model) if it is missing or malformed.
ChatTemplate require_chat_template(const Tokenizer& tokenizer);

/// The template's input, with the tokenizer's special tokens.
Conversation conversation_of(const ChatRow& row, const Tokenizer& tokenizer);

/// A template's refusal of a conversation, with its message. without_words: the same for lists that must not quote rows: the
/// message only if it is a literal of the template.
class RefusedConversation : public Error {
 public:
  RefusedConversation(const std::string& what, std::string without_words)
      : Error(ExitCode::data, what), without_words_(std::move(without_words)) {}
  const std::string& without_words() const { return without_words_; }

 private:
  std::string without_words_;
};

/// The text of a conversation. Throws RefusedConversation with `where` if the template refuses it, and Error(model) with the
/// template's file and line for other failures.
RenderedChat render_row_chat(const ChatTemplate& chat_template, const Conversation& conversation, const std::string& where);

/// ids: those of the whole text, as Hugging Face's apply_chat_template(tokenize=True) gives them, without additions (BOS only if
/// the template prints it). Trained: every token with a byte of an assistant's turn, or with train_all all tokens except a
/// leading BOS. A turn is the output of a {% generation %} block, as in return_assistant_tokens_mask (including white space that
/// the tokenizer's trim_offsets would exclude there); without such blocks it begins after the generation prompt and ends with its
/// end token: the first special token after the content, or if the content's end is unknown, the last one before the next
/// message. Counts messages without a turn (AssistantTurns) and empty blocks. Throws like render_row_chat, and Error(data) with
/// `where` for an assistant's message that is not found in the text.
TokenizedRow sample_of_chat(const ChatTemplate& chat_template, const ChatRow& row, const Tokenizer& tokenizer, bool train_all,
                            const std::string& where);

/// The prompt for an answer: the conversation rendered with the generation prompt.
struct ChatPrompt {
  std::string text;
  std::vector<std::int32_t> ids;
};
/// Throws like render_row_chat, and Error(data) for a text without tokens.
ChatPrompt chat_prompt(const ChatTemplate& chat_template, const ChatRow& row, const Tokenizer& tokenizer,
                       const std::string& where);

/// The special token that ends an assistant's turn or follows it, found in a small conversation; nullopt if none.
std::optional<std::int32_t> end_of_turn(const ChatTemplate& chat_template, const Tokenizer& tokenizer);

}  // namespace lora_dist

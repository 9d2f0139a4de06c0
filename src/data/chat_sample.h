// Conversations to ids and labels under the model's own chat template.
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

/// The template of the tokenizer's folder. Throws Error(model) where there is none, or one that is malformed.
ChatTemplate require_chat_template(const Tokenizer& tokenizer);

/// A conversation as the template gets it, with the tokenizer's special tokens.
Conversation conversation_of(const ChatRow& row, const Tokenizer& tokenizer);

/// That a template refuses a conversation, with what it says of it. without_words: the same for a list that must quote no row,
/// with these words only where they stand in the template.
class RefusedConversation : public Error {
 public:
  RefusedConversation(const std::string& what, std::string without_words)
      : Error(ExitCode::data, what), without_words_(std::move(without_words)) {}
  const std::string& without_words() const { return without_words_; }

 private:
  std::string without_words_;
};

/// The text of a conversation. Throws RefusedConversation with `where` where the template refuses it, and Error(model) with the
/// template's file and line where it fails otherwise.
RenderedChat render_row_chat(const ChatTemplate& chat_template, const Conversation& conversation, const std::string& where);

/// ids: those of the whole text, as Hugging Face's apply_chat_template(tokenize=True) gives them; nothing is added, so BOS is
/// there when the template prints it. Trained: every token that holds a byte of an assistant's turn, or, with train_all, all but
/// a BOS in front. A turn is what a {% generation %} block prints, as in return_assistant_tokens_mask (white space too where
/// the tokenizer's trim_offsets would leave it out there); without such blocks it begins behind the generation
/// prompt and ends with its end token: the first special token after the content, or where the content's end cannot be told the
/// last before the next message. Messages without a turn (AssistantTurns), and blocks that print nothing, are counted. Throws as
/// render_row_chat, and Error(data) with `where` for an assistant's message that cannot be found in the text.
TokenizedRow sample_of_chat(const ChatTemplate& chat_template, const ChatRow& row, const Tokenizer& tokenizer, bool train_all,
                            const std::string& where);

/// What is put before the answer to a conversation: rendered with the generation prompt.
struct ChatPrompt {
  std::string text;
  std::vector<std::int32_t> ids;
};
/// Throws as render_row_chat, and Error(data) for a text without tokens.
ChatPrompt chat_prompt(const ChatTemplate& chat_template, const ChatRow& row, const Tokenizer& tokenizer,
                       const std::string& where);

/// The special token that ends an assistant's turn or follows it, if there is one; found in a small conversation.
std::optional<std::int32_t> end_of_turn(const ChatTemplate& chat_template, const Tokenizer& tokenizer);

}  // namespace lora_dist

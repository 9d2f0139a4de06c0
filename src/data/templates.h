// Converts rows to pieces of text: prompts and completions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/data/row.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

/// Pieces are tokenised one by one, the first as the start of a text and the others as continuations, so no token crosses a
/// boundary, and the prompt's tokens are the same in generation. The concatenated pieces are the sample's text.
struct Piece {
  std::string text;
  bool completion = false;   // trained
  bool end_of_text = false;  // the tokenizer's EOS follows, and is trained if the piece is
  bool hidden = false;       // not trained even with train_all
  bool apart = false;        // an untrained answer: not merged, so that training flags do not change tokens
};

/// Template of rows of this kind, where data.template is `asked`. None ("auto"): alpaca rows get alpaca, qa rows qa, chat rows
/// the model's own chat template ("tokenizer") where there is one, else chatml where the tokenizer has <|im_start|> and
/// <|im_end|>, else plain. Texts and ids need none ("none"). Throws Error(usage) for an unknown name, or a template that has no
/// place for such rows.
std::optional<RowTemplate> choose_template(std::optional<RowTemplate> asked, RowKind kind, const Tokenizer& tokenizer);

/// The row as a conversation: a chat unchanged, a question and its answer as one exchange, after an alpaca row's system prompt
/// and earlier exchanges.
ChatRow conversation_row(const Row& row);

/// Prompt and completion of a row of alpaca, chat or qa; an empty answer of a chat is not a completion. Throws Error(data) that
/// begins with `place`, like plain_messages, and for members that qa does not support.
///   alpaca   the prompt of Stanford Alpaca, with or without an input; completion: the output, and the answers of the history
///   qa       "Question: {question}\nAnswer:", completion " {answer}", or the answer as it is where it begins with white space
///   raw      "{question}", completion "{answer}": a prompt and its completion as they are
///   chatml   "<|im_start|>{role}\n{content}<|im_end|>\n" per turn; trained: an assistant's content and <|im_end|>
///   plain    "User: {content}\nAssistant:", completion " {content}" as in qa, end of text; "System: {content}\n" before them
/// train_all: everything will be trained; then a message marked as not trained becomes a separate piece.
std::vector<Piece> render_row(const Row& row, RowTemplate row_template, const std::string& location, bool train_all = false);

}  // namespace lora_dist

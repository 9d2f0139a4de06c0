// Rows to pieces of text: what is prompt and what is to be learnt.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "src/data/row.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

/// Pieces are tokenised one by one, the first as the start of a text and the others as its continuation, so no token lies across
/// a border and the prompt's tokens are those that generation will see. The pieces' texts joined are the sample's text.
struct Piece {
  std::string text;
  bool completion = false;   // trained
  bool end_of_text = false;  // the tokenizer's EOS follows, and is trained if the piece is
  bool hidden = false;       // not trained even where everything is
  bool apart = false;        // an answer that is not trained: it keeps its borders, so that marks change no token
};

/// Template of rows of this kind: `name` as in data.template. "auto": alpaca rows get alpaca, qa rows qa, chat rows the model's
/// own chat template ("tokenizer") where there is one, else chatml where the tokenizer has <|im_start|> and <|im_end|>, else
/// plain. Texts and ids need none ("none"). Throws Error(usage) for an unknown name, or a template that has no place for such
/// rows.
std::string choose_template(std::string_view name, RowKind kind, const Tokenizer& tokenizer);

/// The row as a conversation: a chat as it is, a question and its answer as one exchange, after a system prompt and earlier ones
/// where an alpaca row has them.
ChatRow conversation_row(const Row& row);

/// Prompt and completion of a row of alpaca, chat or qa; an empty answer of a chat is no completion. `place` begins the
/// Error(data) of plain_messages, and for what qa has no place for.
///   alpaca   the prompt of Stanford Alpaca, with or without an input; completion: the output, and the answers of the history
///   qa       "Question: {question}\nAnswer:", completion " {answer}", or the answer as it is where it begins with white space
///   raw      "{question}", completion "{answer}": a prompt and its completion as they are
///   chatml   "<|im_start|>{role}\n{content}<|im_end|>\n" per turn; trained: an assistant's content and <|im_end|>
///   plain    "User: {content}\nAssistant:", completion " {content}" as in qa, end of text; "System: {content}\n" before them
/// train_all: whether everything will be trained; then a message that is marked as not trained is a piece of its own.
std::vector<Piece> render_row(const Row& row, std::string_view template_name, const std::string& place, bool train_all = false);

}  // namespace lora_dist

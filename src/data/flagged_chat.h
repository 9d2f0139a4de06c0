// Conversations with training flags for messages or parts of them (ChatRow::training, untrained_parts).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "src/chat_template/chat_template.h"
#include "src/data/row.h"
#include "src/tokenizer/split.h"
#include "src/tokenizer/token_borders.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

/// An answer in the text of a conversation, in bytes.
struct AnswerSpan {
  Range span;                    // the trained bytes
  std::optional<Range> content;  // if found
};

/// True if the row has a training flag for a message or a part.
bool has_train_flags(const ChatRow& row);

/// A conversation with its text and tokens.
struct RenderedRow {
  const ChatTemplate& chat_template;
  const ChatRow& row;
  const Conversation& conversation;
  const std::string& text;
  const TokenBorders& borders;
  const Tokenizer& tokenizer;
  const std::string& where;
};

/// The trained parts of the text, and the parts without trained tokens. answers[i] belongs to message answer_messages[i]. Trains
/// the answers except those flagged as not trained, and the content of other messages flagged as trained, with the following
/// special token; with train_all, the whole text except messages flagged as not trained. Untrained parts of a content are
/// excluded. Throws Error(data) with `where` if flags cannot be applied: ambiguous answers (numbers of messages and answers
/// differ), or a flagged message or part that is not found in the text.
struct FlaggedSpans {
  std::vector<Range> trained, hidden;
};
FlaggedSpans flagged_spans(const RenderedRow& rendered, const std::vector<AnswerSpan>& answers,
                           const std::vector<std::size_t>& answer_messages, bool train_all);

}  // namespace lora_dist

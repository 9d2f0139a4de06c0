// Conversations that say themselves which messages, and which parts of them, are trained (ChatRow::training, untrained_parts).
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
  Range span;                    // what is trained of it
  std::optional<Range> content;  // where that could be told
};

/// True if the row says of any message, or part of one, whether it is trained.
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

/// The parts of the text to train, and those of which no token is trained. answers[i] is message speakers[i]'s. By role: the
/// answers, but for those flagged as not trained, and the content of other messages that are flagged as trained, with the special
/// token that follows; with train_all the whole text but for the messages flagged as not trained. Parts of a content that are not
/// trained are cut out. Throws Error(data) with `where` where flags cannot be followed: answers that cannot be told apart
/// (another number of speakers than of answers), and a flagged message, or part of one, that is not found in the text.
struct FlaggedSpans {
  std::vector<Range> trained, hidden;
};
FlaggedSpans flagged_spans(const RenderedRow& rendered, const std::vector<AnswerSpan>& answers,
                           const std::vector<std::size_t>& speakers, bool train_all);

}  // namespace lora_dist

// Texts that say themselves who speaks, as notebooks write them: the text stays as it is, and its answers are trained.
#pragma once

#include <string_view>
#include <vector>

#include "src/data/row.h"
#include "src/tokenizer/split.h"

namespace lora_dist {

/// marked_text: <|user|> and, after it, <|assistant|>. qa_text: a line that begins with "Q:" and, after it, one that begins with
/// "A:"; or "Question:" and "Answer:".
bool has_marks(RowKind kind, std::string_view text);

/// The bytes that are answers: from behind <|assistant|>, or "A:", to the next mark (of marked_text: <|system|>, <|user|>,
/// <|assistant|>, <|tool|>; of qa_text: "Q:") without the white space before that mark, or to the end of the text. They may be
/// empty, or white space.
std::vector<Range> find_answers(RowKind kind, std::string_view text);

}  // namespace lora_dist

// Texts with role marks, as written by notebooks: the text is unchanged, and its answers are trained.
#pragma once

#include <string_view>
#include <vector>

#include "src/data/row.h"
#include "src/tokenizer/split.h"

namespace lora_dist {

/// marked_text: <|user|> and, after it, <|assistant|>. qa_text: a line that begins with "Q:" and, after it, one that begins with
/// "A:"; or "Question:" and "Answer:".
bool has_marks(RowKind kind, std::string_view text);

/// The byte ranges of answers: from after <|assistant|> or "A:" to the next mark (marked_text: <|system|>, <|user|>,
/// <|assistant|>, <|tool|>; qa_text: "Q:"), without the white space before the mark, or to the end of the text. Answers may be
/// empty or white space.
std::vector<Range> find_answers(RowKind kind, std::string_view text);

}  // namespace lora_dist

// What is put before, between and after turns, on one line: the place where wrong special tokens are seen before they are
// trained.
#pragma once

#include <optional>
#include <string>

#include "src/data/row.h"
#include "src/data/sample.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

/// What the tokenizer puts before and behind a text by itself, and why: "<s> before a text (...), nothing behind it (...); EOS is
/// </s>". A chat template prints its own.
std::string describe_special_tokens(const Tokenizer& tokenizer);

/// A row of this kind that says QUESTION and ANSWER, twice where a conversation has turns, or TEXT. Nothing for ids.
std::optional<RowContent> example_row(RowKind kind);

/// The sample of such a row as `"<s>[INST] " QUESTION "[/INST]" [" " ANSWER "</s>"]`: texts in quotes, trained ones in brackets.
/// Empty where the template changes the words.
std::string turn_frame(const TokenizedRow& example, const Tokenizer& tokenizer);

}  // namespace lora_dist

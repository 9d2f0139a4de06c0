// Shows the text before, between and after turns on one line, so that wrong special tokens are noticed before training.
#pragma once

#include <optional>
#include <string>

#include "src/data/row.h"
#include "src/data/sample.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

/// The tokenizer's prefix and suffix with reasons: "<s> before a text (...), nothing behind it (...); EOS is </s>". A chat
/// template prints its own.
std::string describe_special_tokens(const Tokenizer& tokenizer);

/// An example row of this kind with QUESTION and ANSWER (twice for conversations), or TEXT. nullopt for ids.
std::optional<RowContent> example_row(RowKind kind);

/// The sample of such a row as `"<s>[INST] " QUESTION "[/INST]" [" " ANSWER "</s>"]`: texts in quotes, trained ones in brackets.
/// Empty if the template changes the words.
std::string turn_frame(const TokenizedRow& example, const Tokenizer& tokenizer);

}  // namespace lora_dist

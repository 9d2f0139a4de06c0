// Rows to samples: ids, labels, checks of length and range.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "src/data/options.h"
#include "src/data/row.h"
#include "src/data/sample.h"
#include "src/data/templates.h"
#include "src/tokenizer/token_borders.h"

namespace lora_dist {

/// ids and labels of pieces: the tokenizer's prefix (BOS, never twice), then piece by piece. Trained: completions and the EOS
/// after them, or everything but the prefix and hidden pieces where train_all.
TokenizedRow tokenize_pieces(const Tokenizer& tokenizer, const std::vector<Piece>& pieces, bool train_all);

/// Exactly the ids that the tokenizer gives the text with its special tokens, each of them trained but a padding token that is
/// not EOS as well: what Hugging Face's DataCollatorForLanguageModeling(mlm=False) makes of tokenizer(text).
TokenizedRow sample_of_text(const Tokenizer& tokenizer, std::string_view text);

/// The text behind the tokenizer's prefix (BOS, never twice). Trained: the tokens that hold a byte of an answer (find_answers),
/// or all with train_all; an answer of white space is counted and not trained. Where the text ends in an answer and not in EOS,
/// EOS follows and is trained.
TokenizedRow sample_of_marked_text(const Tokenizer& tokenizer, RowKind kind, std::string_view text, bool train_all);

/// Makes the tokens trained that hold a byte of `span`, or that stand for no byte and lie in it. The sample's ids are those of
/// `borders` from `first` on.
void train_within(TokenizedRow& sample, std::size_t first, const TokenBorders& borders, Range span);

/// A row of ids as a sample. Throws Error(data) as load_dataset says; `where` is "file:line".
TokenizedRow sample_of_ids(const IdsRow& row, std::int64_t vocab_size, std::string_view where);

/// Throws Error(data) when an id or a label lies outside the model's vocabulary.
void check_ids(std::span<const std::int32_t> ids, std::int64_t vocab_size, std::string_view where);

}  // namespace lora_dist

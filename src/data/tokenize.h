// Converts rows to ids and labels, and checks length and range.
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

/// Ids and labels of pieces: the tokenizer's prefix (a single BOS), then the pieces. Trained: completions and their EOS, or with
/// train_all everything except the prefix and hidden pieces.
TokenizedRow tokenize_pieces(const Tokenizer& tokenizer, const std::vector<Piece>& pieces, bool train_all);

/// The tokenizer's ids of the text with special tokens, all trained except a padding token other than EOS, like Hugging Face's
/// DataCollatorForLanguageModeling(mlm=False) on tokenizer(text).
TokenizedRow sample_of_text(const Tokenizer& tokenizer, std::string_view text);

/// The tokenizer's prefix (a single BOS) and the text. Trained: the tokens with a byte of an answer (find_answers), or all with
/// train_all; white-space answers are counted and not trained. A trained EOS is appended if the text ends in an answer without
/// EOS.
TokenizedRow sample_of_marked_text(const Tokenizer& tokenizer, RowKind kind, std::string_view text, bool train_all);

/// Labels the tokens with a byte of `span`, and zero-length tokens inside it, as trained. The sample's ids are those of `borders`
/// from `first` on.
void train_within(TokenizedRow& sample, std::size_t first, const TokenBorders& borders, Range span);

/// The sample of a row of ids. Throws Error(data) like load_dataset; `where` is "file:line".
TokenizedRow sample_of_ids(const IdsRow& row, std::int64_t vocab_size, std::string_view where);

/// Throws Error(data) if an id or a label is outside the model's vocabulary.
void check_ids(std::span<const std::int32_t> ids, std::int64_t vocab_size, std::string_view where);

}  // namespace lora_dist

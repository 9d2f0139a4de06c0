// Rows to samples: ids, labels, checks of length and range.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/data/options.h"
#include "src/data/row.h"
#include "src/data/sample.h"
#include "src/data/templates.h"

namespace lora_dist {

/// ids and labels of pieces: the tokenizer's prefix (BOS, never twice), then piece by piece. Trained: completions and the EOS
/// after them, or everything but the prefix where train_all.
Sample tokenize_pieces(const Tokenizer& tokenizer, const std::vector<Piece>& pieces, bool train_all);

/// A row of ids as a sample. Throws Error(data) as load_dataset says; `where` is "file:line".
Sample sample_of_ids(const IdsRow& row, std::int64_t vocab_size, std::string_view where);

/// Throws Error(data) when an id or a label lies outside the model's vocabulary.
void check_ids(const Sample& sample, std::int64_t vocab_size, std::string_view where);

}  // namespace lora_dist

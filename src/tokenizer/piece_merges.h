// Derives BPE merges from a sentencepiece model's pieces, and the pipeline from its normalizer (generate_merges and
// SpmConverter.build_tokenizer_from_spm_proto of transformers 5.24.0).
#pragma once

#include <string>
#include <vector>

#include "src/tokenizer/model_lists.h"
#include "src/tokenizer/sentencepiece_file.h"

namespace lora_dist {

/// Texts of pieces to ids; the later piece wins for equal texts.
TokenTable vocab_of_pieces(const SentencePieceFile& file);
/// Every split of a piece into two pieces, by piece id, then split position.
MergeTexts merges_of_pieces(const SentencePieceFile& file);

/// A document for the pieces by the model's settings. `names`: replacement texts of pieces from other files. `legacy`: a dummy
/// space precedes every part of a text between special tokens, not only the first.
TokenizerDocument document_of_pieces(const SentencePieceFile& file, const std::vector<std::string>& names, bool legacy);

}  // namespace lora_dist

// BPE's merges from the pieces of a sentencepiece model, and the pipeline that does as its normalizer says
// (generate_merges and SpmConverter.build_tokenizer_from_spm_proto of transformers 5.24.0).
#pragma once

#include <nlohmann/json.hpp>

#include "src/tokenizer/sentencepiece_file.h"

namespace lora_dist {

/// Texts of the pieces to ids; of a text that two pieces have, the later one's.
nlohmann::json vocab_of_pieces(const SentencePieceFile& file);
/// Every cut of a piece into two others, by the piece's id, then the cut's place.
nlohmann::json merges_of_pieces(const SentencePieceFile& file);

/// A document for the pieces as the model's own settings say. `names`: the pieces' texts, where a file gives another. `legacy`:
/// the dummy space is put before every part of a text that special tokens cut, not only before the first.
nlohmann::json document_of_pieces(const SentencePieceFile& file, const std::vector<std::string>& names, bool legacy);

}  // namespace lora_dist

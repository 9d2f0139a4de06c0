// A model folder's tokenizer as the keys of a GGUF file (contract: llama.cpp, convert_hf_to_gguf.py and gguf-py's SpecialVocab).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "src/io/write_gguf.h"

namespace lora_dist {

/// The keys tokenizer.ggml.*, with as many tokens as the embedding has `rows`. `stop_ids`: that end an answer. `model_type`
/// chooses between names of the same pre-tokenizer. A folder without a tokenizer gets tokenizer.ggml.model "none". Throws
/// Error(model) naming file and reason: more tokens than rows, a pre-tokenizer that has no name in GGUF files, a model that is no
/// BPE, more tokens around a text than BOS and EOS.
std::vector<GgufKey> gguf_vocabulary(const std::filesystem::path& folder, std::string_view model_type, std::int64_t rows,
                                     std::span<const std::int64_t> stop_ids);

/// The stop ids that are none of the keys' three (EOS, EOT, EOM), for which GGUF files have no place.
std::vector<std::int64_t> stop_ids_left_out(std::span<const GgufKey> keys, std::span<const std::int64_t> stop_ids);

/// Throws Error(model) naming both files and a text unless the file's tokenizer, as this program reads it, gives texts of many
/// scripts, spaces, digits and special tokens the same ids as the folder's.
void check_gguf_vocabulary(const std::filesystem::path& folder, const std::filesystem::path& gguf);

}  // namespace lora_dist

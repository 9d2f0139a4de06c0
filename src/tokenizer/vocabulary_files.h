// A tokenizer as two files, vocab.json and merges.txt: GPT-2's form, also that of Qwen2.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "src/tokenizer/tokenizer_config.h"

namespace lora_dist {

/// True when the folder has both files.
bool has_vocabulary_files(const std::filesystem::path& model_folder);

/// The two as a document of tokenizer.json's format. Neither file says how text is cut: the tokenizer_class of
/// tokenizer_config.json does (GPT2Tokenizer, also where none is named, or Qwen2Tokenizer). Throws Error(model) naming the file
/// when one is malformed, or the class when it is another.
nlohmann::json read_vocabulary_files(const std::filesystem::path& model_folder, const TokenizerConfig& config);

}  // namespace lora_dist

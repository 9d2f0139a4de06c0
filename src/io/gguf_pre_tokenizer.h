// How the words of a GGUF file's text are cut: what tokenizer.ggml.pre names.
#pragma once

#include <array>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "src/io/gguf.h"

namespace lora_dist {

struct GgufPreTokenizer {
  std::string_view name;                  // of tokenizer.ggml.pre
  std::array<const char*, 4> patterns{};  // one after the other, in place of GPT-2's
  bool digits_alone = false;              // each digit is a word
  bool normalizes = false;                // to NFC
  bool adds_bos = false;                  // where the file does not say
  bool ignores_merges = false;            // a word that is a token is not cut
  const char* tokenizer_class = nullptr;  // of transformers, where it is not the general one
  std::string_view model_type = {};       // of config.json, whose files have this name for cuts that other names have too
};

/// All that are known; of several names for the same cuts, the one that llama.cpp's converter writes is first.
std::span<const GgufPreTokenizer> gguf_pre_tokenizers();
/// Its `pre_tokenizer` and `normalizer` in tokenizer.json's form.
nlohmann::json steps_of(const GgufPreTokenizer& pre);
nlohmann::json normalizer_of(const GgufPreTokenizer& pre);

/// Throws Error(model) if the file names none, or one that is not known.
const GgufPreTokenizer& pre_tokenizer_of(const GgufFile& file);

}  // namespace lora_dist

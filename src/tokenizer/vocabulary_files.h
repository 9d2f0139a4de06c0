// A vocabulary as two files, vocab.json and merges.txt: GPT-2's form, also that of Qwen2.
#pragma once

#include <filesystem>

#include "src/tokenizer/model_lists.h"

namespace lora_dist {

/// vocab and merges, as in the model of tokenizer.json. Throws Error(model) naming a malformed file.
ModelLists read_vocabulary_files(const std::filesystem::path& model_folder);

}  // namespace lora_dist

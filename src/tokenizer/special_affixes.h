// What is put before and after a text: BOS, EOS, or nothing, and why.
#pragma once

#include <string>
#include <vector>

#include "src/tokenizer/folder_files.h"
#include "src/tokenizer/tokenizer.h"
#include "src/tokenizer/tokenizer_class.h"

namespace lora_dist {

/// Fills prefix, suffix and their reasons as transformers 5 does with `tokenizer_class`; has_template: tokenizer.json has a
/// post_processor. bos and eos must be known. Adds a note where add_bos_token or add_eos_token has no effect, and where version 4
/// does otherwise. Throws Error(model) where one of the two flags is neither true nor false.
void set_affixes(Tokenizer& tokenizer, const FolderFiles& files, const TokenizerClass& tokenizer_class, bool has_template);

}  // namespace lora_dist

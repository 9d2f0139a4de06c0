// Determines a text's prefix and suffix (BOS, EOS or none), with reasons.
#pragma once

#include <string>
#include <vector>

#include "src/tokenizer/folder_files.h"
#include "src/tokenizer/tokenizer.h"
#include "src/tokenizer/tokenizer_class.h"

namespace lora_dist {

/// Sets prefix, suffix and their reasons like transformers 5 with `tokenizer_class`; has_template: tokenizer.json has a
/// post_processor. bos and eos must be set. Adds a note if add_bos_token or add_eos_token has no effect, or if version 4 differs.
/// Throws Error(model) if a flag is not a boolean.
void set_affixes(Tokenizer& tokenizer, const FolderFiles& files, const TokenizerClass& tokenizer_class, bool has_template);

}  // namespace lora_dist

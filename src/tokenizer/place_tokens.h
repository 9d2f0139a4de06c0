// The ids of a folder's tokens (TokenizersBackend.__init__ of transformers 5.24.0, tokenization_utils_tokenizers.py).
#pragma once

#include <string>
#include <vector>

#include "src/tokenizer/added_vocabulary.h"
#include "src/tokenizer/folder_files.h"
#include "src/tokenizer/folder_tokens.h"
#include "src/tokenizer/tokenizer_class.h"

namespace lora_dist {

/// Puts the tokens on top of the model's vocabulary: `file_tokens` (added_tokens of tokenizer.json, where the class takes them),
/// then the listed ones by id, then named ones, then extra ones; a token that is there already takes the new flags. Ids that
/// files state do not count, as in tokenizers: a note names a token that gets another. Throws Error(model) when two tokens are
/// given one id.
AddedVocabulary place_tokens(ModelVocabulary model, const std::vector<ListedToken>& file_tokens, const FolderTokens& tokens,
                             const TokenizerClass& tokenizer_class, const FolderFiles& files, std::vector<std::string>& notes);

}  // namespace lora_dist

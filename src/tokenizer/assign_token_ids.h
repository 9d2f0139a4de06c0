// Assigns ids to a folder's tokens (TokenizersBackend.__init__ of transformers 5.24.0, tokenization_utils_tokenizers.py).
#pragma once

#include <string>
#include <vector>

#include "src/tokenizer/added_vocabulary.h"
#include "src/tokenizer/folder_files.h"
#include "src/tokenizer/folder_tokens.h"
#include "src/tokenizer/tokenizer_class.h"

namespace lora_dist {

/// Adds the tokens to the model's vocabulary: `file_tokens` (added_tokens of tokenizer.json, if the class uses them), then listed
/// ones by id, then named ones, then extra ones; an existing token takes the new flags. As in tokenizers, ids in files are
/// ignored: a note names a token that gets another id. Throws Error(model) if two tokens have one id.
AddedVocabulary assign_token_ids(ModelVocabulary model, const std::vector<ListedToken>& file_tokens, const FolderTokens& tokens,
                                 const TokenizerClass& tokenizer_class, const FolderFiles& files,
                                 std::vector<std::string>& notes);

}  // namespace lora_dist

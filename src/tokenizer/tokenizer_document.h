// Converts a folder's vocabulary to a document in tokenizer.json's form.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/tokenizer/folder_files.h"
#include "src/tokenizer/folder_tokens.h"
#include "src/tokenizer/model_lists.h"
#include "src/tokenizer/sentencepiece_file.h"
#include "src/tokenizer/tokenizer_class.h"

namespace lora_dist {

/// The vocabulary files.
struct VocabularyFile {
  TokenizerDocument document;               // tokenizer.json, or vocab.json and merges.txt
  std::optional<SentencePieceFile> pieces;  // tokenizer.model
  std::vector<ListedToken> added;           // added_tokens of tokenizer.json
  std::optional<std::string> pad;           // the token of tokenizer.json's padding
};

/// Throws Error(model) naming a malformed file.
VocabularyFile read_vocabulary_file(const FolderFiles& files, const TokenizerClass& tokenizer_class);

/// True if the sentencepiece library must tokenize: the model is not BPE or has a normalization table, and no class rebuilds it.
bool needs_sentencepiece(const VocabularyFile& vocabulary, const TokenizerClass& tokenizer_class);

/// Adopts special tokens and names of bos, eos and unk from tokenizer.model, like transformers. Adds a note if version 4 differs.
void add_tokens_of_pieces(const SentencePieceFile& pieces, const FolderFiles& files, const TokenizerClass& tokenizer_class,
                          FolderTokens& tokens, std::vector<std::string>& notes);

/// The document that the class builds; with added_tokens only if the class uses the file's. Consumes `vocabulary`. Adds a note if
/// version 4 follows the file's pipeline and version 5 does not.
TokenizerDocument make_tokenizer_document(VocabularyFile& vocabulary, const FolderFiles& files,
                                          const TokenizerClass& tokenizer_class, const FolderTokens& tokens,
                                          std::vector<std::string>& notes);

}  // namespace lora_dist

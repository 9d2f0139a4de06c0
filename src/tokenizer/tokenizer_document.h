// A folder's vocabulary, whatever its files, as one document in tokenizer.json's form.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "src/tokenizer/folder_files.h"
#include "src/tokenizer/folder_tokens.h"
#include "src/tokenizer/sentencepiece_file.h"
#include "src/tokenizer/tokenizer_class.h"

namespace lora_dist {

/// The vocabulary as it was read.
struct VocabularyFile {
  nlohmann::json json;                      // tokenizer.json, or vocab and merges of the two files
  std::optional<SentencePieceFile> pieces;  // tokenizer.model
  std::vector<ListedToken> added;           // added_tokens of tokenizer.json
  std::optional<std::string> pad;           // the token of tokenizer.json's padding
};

/// Throws Error(model) naming the file when it is malformed.
VocabularyFile read_vocabulary_file(const FolderFiles& files, const TokenizerClass& tokenizer_class);

/// True if the tokens of the vocabulary are to be left to the sentencepiece library: a model that is no BPE, or normalizes by a
/// table, and that no class builds anew.
bool needs_sentencepiece(const VocabularyFile& vocabulary, const TokenizerClass& tokenizer_class);

/// Special tokens of tokenizer.model and its names for bos, eos and unk, as transformers takes them over. Adds a note where
/// version 4 makes another tokenizer of the file.
void add_tokens_of_pieces(const SentencePieceFile& pieces, const FolderFiles& files, const TokenizerClass& tokenizer_class,
                          FolderTokens& tokens, std::vector<std::string>& notes);

/// The document that the class builds; added_tokens only where it takes those of the file. `vocabulary` is used up. Adds a note
/// where version 4 would have cut text as the file says and version 5 does not.
nlohmann::json make_tokenizer_document(VocabularyFile& vocabulary, const FolderFiles& files,
                                       const TokenizerClass& tokenizer_class, const FolderTokens& tokens,
                                       std::vector<std::string>& notes);

}  // namespace lora_dist

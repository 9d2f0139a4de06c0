// The tokens of added_tokens.json, tokenizer_config.json and special_tokens_map.json. Order and precedence are those of
// PreTrainedTokenizerBase._from_pretrained of transformers 5.24.0 (tokenization_utils_base.py).
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "src/tokenizer/added_tokens.h"
#include "src/tokenizer/folder_files.h"
#include "src/tokenizer/json_fields.h"
#include "src/tokenizer/tokenizer_class.h"

namespace lora_dist {

/// A token in a file: a text, or an object with flags.
struct FolderToken {
  AddedToken token;
  bool text_alone = true;
  bool normalized_given = false;  // the object has the flag

  friend bool operator==(const FolderToken& a, const FolderToken& b);
};

/// Special tokens default to not normalized.
void make_special(FolderToken& token);

/// A token with an id in a file.
struct ListedToken {
  AddedToken token;
  std::string location;          // "added_tokens.json"
  bool normalized_given = true;  // the file has the flag
};

struct FolderTokens {
  struct Named {
    std::string key;  // "pad_token"
    std::optional<FolderToken> token;
  };
  std::vector<ListedToken> listed;  // by id: from added_tokens_decoder, else from added_tokens.json and tokenizer.json
  std::vector<Named> named;         // bos, eos, unk, sep, pad, cls, mask, then other *_token keys in file order
  std::vector<FolderToken> extra;   // unnamed special tokens
  bool extra_given = false;         // a file has this list, perhaps empty
};

/// `file_tokens`: added_tokens of tokenizer.json; `pad`: the token of its padding. Throws Error(model) naming file and key of a
/// malformed token.
FolderTokens collect_folder_tokens(const FolderFiles& files, const TokenizerClass& tokenizer_class,
                                   const std::vector<ListedToken>& file_tokens, const std::optional<std::string>& pad,
                                   std::vector<std::string>& notes);

/// The named token's content.
std::optional<std::string> named_content(const FolderTokens& tokens, std::string_view key);
/// Sets a named token's default if no file has the key.
void set_default_token(FolderTokens& tokens, const FolderFiles& files, const std::string& key, const std::string& content);
/// True if a relevant file has the key, even if null.
bool mentions_token(const FolderFiles& files, const std::string& key);

}  // namespace lora_dist

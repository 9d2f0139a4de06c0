// Tokens that a folder names outside its vocabulary: in added_tokens.json, tokenizer_config.json and special_tokens_map.json.
// Which file counts where they disagree, and the order, are those of PreTrainedTokenizerBase._from_pretrained of transformers
// 5.24.0 (tokenization_utils_base.py).
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

/// A token as a file gives it: a text alone, or an object with flags.
struct FolderToken {
  AddedToken token;
  bool text_alone = true;
  bool normalized_given = false;  // the object says whether it is normalized

  friend bool operator==(const FolderToken& a, const FolderToken& b);
};

/// A special token is not normalized unless its object says so.
void make_special(FolderToken& token);

/// A token whose id a file states.
struct ListedToken {
  AddedToken token;
  std::string place;             // "added_tokens.json"
  bool normalized_given = true;  // the file says whether it is normalized
};

struct FolderTokens {
  struct Named {
    std::string key;  // "pad_token"
    std::optional<FolderToken> token;
  };
  std::vector<ListedToken> listed;  // by id: of added_tokens_decoder, or else of added_tokens.json and tokenizer.json
  std::vector<Named> named;        // bos, eos, unk, sep, pad, cls, mask, then what else ends in _token, in the order of the files
  std::vector<FolderToken> extra;  // special tokens without a name
  bool extra_given = false;        // a file has a list of these, perhaps empty
};

/// `file_tokens`: added_tokens of tokenizer.json; `pad`: the token of its padding. Throws Error(model) naming file and key when
/// one is malformed.
FolderTokens collect_folder_tokens(const FolderFiles& files, const TokenizerClass& tokenizer_class,
                                   const std::vector<ListedToken>& file_tokens, const std::optional<std::string>& pad,
                                   std::vector<std::string>& notes);

/// The named token's content.
std::optional<std::string> named_content(const FolderTokens& tokens, std::string_view key);
/// Gives a named token a default, where no file has the key.
void set_default_token(FolderTokens& tokens, const FolderFiles& files, const std::string& key, const std::string& content);
/// True if a file that counts has the key, be it null.
bool mentions_token(const FolderFiles& files, const std::string& key);

}  // namespace lora_dist

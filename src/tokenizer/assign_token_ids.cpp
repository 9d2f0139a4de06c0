// Assigns ids and adds notes for the user.
#include "src/tokenizer/assign_token_ids.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string_view>
#include <unordered_set>

#include "src/core/error.h"

namespace lora_dist {
namespace {

constexpr std::size_t kNamed = 3;  // tokens that a note names; further ones are counted

std::string shown(const std::string& content) { return content.substr(0, 100); }

bool holds(const std::vector<FolderToken>& tokens, const FolderToken& token) {
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

bool is_named(const FolderTokens& tokens, const std::string& content) {
  return std::any_of(tokens.named.begin(), tokens.named.end(),
                     [&](const auto& one) { return one.token && one.token->token.content == content; });
}

/// Listed tokens (for their flags), then new named and extra tokens.
std::vector<FolderToken> missing_tokens(const AddedVocabulary& vocabulary, const FolderTokens& tokens) {
  std::vector<FolderToken> out;
  std::unordered_set<std::string_view> listed;
  for (const ListedToken& one : tokens.listed) {
    out.push_back({one.token, false, one.normalized_given});
    listed.insert(one.token.content);
  }
  const auto append = [&](const FolderToken& token) {
    const std::string& content = token.token.content;
    if (!vocabulary.contains(content) && !listed.contains(content) && !holds(out, token)) {
      out.push_back(token);
    }
  };
  for (const FolderTokens::Named& named : tokens.named) {
    if (named.token) {
      append(*named.token);
    }
  }
  for (const FolderToken& extra : tokens.extra) {
    append(extra);
  }
  return out;
}

AddedToken placed(FolderToken token, bool special) {
  if (special && !token.token.special) {
    make_special(token);
  }
  return token.token;
}

void add_missing(AddedVocabulary& vocabulary, const FolderTokens& tokens) {
  std::vector<AddedToken> add;
  for (const FolderToken& token : missing_tokens(vocabulary, tokens)) {
    add.push_back(placed(token, is_named(tokens, token.token.content)));
  }
  vocabulary.add(add);
}

/// Final adjustments of special tokens by some classes.
void reset_flags(AddedVocabulary& vocabulary, const FolderTokens& tokens, const TokenizerClass& tokenizer_class) {
  std::vector<AddedToken> again;
  const auto append = [&](const FolderToken& token) {
    if (tokenizer_class.plain_special) {
      again.push_back({.content = token.token.content, .special = true});
    } else if (tokenizer_class.all_special) {
      again.push_back(placed(token, true));
    }
  };
  for (const FolderTokens::Named& named : tokens.named) {
    if (named.token) {
      append(*named.token);
    }
  }
  for (const FolderToken& extra : tokens.extra) {
    append(extra);
  }
  vocabulary.add(again);
}

/// Rejects two tokens with one id, in the files or in file and vocabulary.
void check_ids(const std::vector<ListedToken>& stated, const ModelVocabulary& model, const FolderFiles& files) {
  const auto refuse = [&](const ListedToken& token, const std::string& other, const std::string& where) {
    throw Error(ExitCode::model, files.folder.string() + ": " + token.location + " gives the token " +
                                     shown(token.token.content) + " the id " + std::to_string(token.token.id) +
                                     ", which is that of " + shown(other) + " in " + where +
                                     "; give each token an id of its own");
  };
  std::map<std::int32_t, const ListedToken*> by_id;
  for (const ListedToken& token : stated) {
    const auto [found, fresh] = by_id.emplace(token.token.id, &token);
    const auto in_model = model.token_of(token.token.id);
    if (!fresh && found->second->token.content != token.token.content) {
      refuse(token, found->second->token.content, found->second->location);
    }
    if (in_model && *in_model != token.token.content && !model.id_of(token.token.content)) {
      refuse(token, *in_model, files.vocabulary_file().filename().string());
    }
  }
}

/// "a, b and 4 more"
std::string some_of(const std::vector<std::string>& items) {
  std::string out;
  for (std::size_t i = 0; i < std::min(items.size(), kNamed); ++i) {
    out += (i == 0 ? "" : ", ") + items[i];
  }
  return items.size() > kNamed ? out + " and " + std::to_string(items.size() - kNamed) + " more" : out;
}

void note_ids(const std::vector<ListedToken>& stated, const AddedVocabulary& vocabulary, std::vector<std::string>& notes) {
  std::vector<std::string> moved;
  for (const ListedToken& one : stated) {
    const auto id = vocabulary.id_of(one.token.content);
    const std::string text = shown(one.token.content) + " (" + std::to_string(one.token.id) + " in " + one.location + ", here " +
                             std::to_string(id.value_or(-1)) + ")";
    if (id && *id != one.token.id && std::find(moved.begin(), moved.end(), text) == moved.end()) {
      moved.push_back(text);
    }
  }
  if (!moved.empty()) {
    notes.push_back(
        "tokens whose id is not the one that a file states, because it is given by the vocabulary or follows the last "
        "one, as in tokenizers: " +
        some_of(moved));
  }
}

void note_new(const std::vector<ListedToken>& stated, const AddedVocabulary& vocabulary, std::vector<std::string>& notes) {
  std::unordered_set<std::string_view> listed;
  for (const ListedToken& one : stated) {
    listed.insert(one.token.content);
  }
  std::vector<std::string> fresh;
  for (const AddedToken& token : vocabulary.tokens()) {
    if (!vocabulary.model().id_of(token.content) && !listed.contains(token.content)) {
      fresh.push_back(shown(token.content) + " (" + std::to_string(token.id) + ")");
    }
  }
  if (!fresh.empty()) {
    notes.push_back("tokens without an id in any file were appended after the vocabulary, as in transformers: " + some_of(fresh));
  }
}

void note_left_out(const std::vector<ListedToken>& file_tokens, const AddedVocabulary& vocabulary, const FolderFiles& files,
                   std::vector<std::string>& notes) {
  std::vector<std::string> left;
  const auto look = [&](const std::string& content, const std::string& location) {
    if (!content.empty() && !vocabulary.id_of(content)) {
      left.push_back(shown(content) + " of " + location);
    }
  };
  for (const ListedToken& one : file_tokens) {
    look(one.token.content, one.location);
  }
  if (files.added_tokens.is_object()) {
    for (const auto& [content, id] : files.added_tokens.items()) {
      look(content, "added_tokens.json");
    }
  }
  if (!left.empty()) {
    notes.push_back(
        "beside added_tokens_decoder of tokenizer_config.json other lists do not count (as in transformers), so that these "
        "are no tokens: " +
        some_of(left));
  }
}

}  // namespace

AddedVocabulary assign_token_ids(ModelVocabulary model, const std::vector<ListedToken>& file_tokens, const FolderTokens& tokens,
                                 const TokenizerClass& tokenizer_class, const FolderFiles& files,
                                 std::vector<std::string>& notes) {
  std::vector<ListedToken> stated = tokens.listed;
  AddedVocabulary out(std::move(model));
  std::vector<AddedToken> of_file;
  if (tokenizer_class.build == nullptr) {
    stated.insert(stated.begin(), file_tokens.begin(), file_tokens.end());
    for (const ListedToken& one : file_tokens) {
      of_file.push_back(one.token);
    }
  }
  check_ids(stated, out.model(), files);
  try {
    out.add(of_file);
    add_missing(out, tokens);
    reset_flags(out, tokens, tokenizer_class);
  } catch (const std::runtime_error& e) {
    throw Error(ExitCode::model, files.vocabulary_file().string() + ": " + e.what());
  }
  note_ids(stated, out, notes);
  note_new(stated, out, notes);
  note_left_out(file_tokens, out, files, notes);
  return out;
}

}  // namespace lora_dist

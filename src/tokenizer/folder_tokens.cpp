// Collects a folder's token lists and named tokens.
#include "src/tokenizer/folder_tokens.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "src/tokenizer/folder_arguments.h"
#include "src/tokenizer/read_added_token.h"

namespace lora_dist {
namespace {

using nlohmann::ordered_json;

constexpr std::int32_t kIdLimit = 1 << 24;

std::vector<ListedToken> read_decoder(const FolderFiles& files) {
  const JsonLocation location = JsonLocation{files.config_file(), ""}.at("added_tokens_decoder");
  const ordered_json& object = files.config["added_tokens_decoder"];
  if (!object.is_object()) {
    fail(location, "must be an object");
  }
  std::vector<ListedToken> out;
  for (const auto& [key, value] : object.items()) {
    std::int32_t id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc{} || end != key.data() + key.size() || id < 0 || id >= kIdLimit) {
      fail(location, "has the key \"" + key.substr(0, 40) + "\", which is not a token id");
    }
    AddedToken token = read_added_token(value, location.at(key));
    token.id = id;
    const bool given = !member(value, "normalized", location.at(key)).is_null();
    out.push_back({std::move(token), "added_tokens_decoder of tokenizer_config.json", given});
  }
  return out;
}

/// added_tokens.json has no flags: a token is special if another file names it (tokenizer_config.json: as text only).
std::vector<ListedToken> read_added_file(const FolderFiles& files, const FolderArguments& arguments) {
  const auto named = [&](const std::string& content) {
    const auto& list = arguments.standard.items;
    const bool standard = std::any_of(list.begin(), list.end(), [&](const auto& item) {
      return item.token && item.token->token.content == content &&
             (item.token->text_alone || arguments.of_map.contains(item.key));
    });
    const auto& extra = arguments.extra.tokens;
    return standard || (extra && extra->is_array() && std::find(extra->begin(), extra->end(), content) != extra->end());
  };
  std::vector<ListedToken> out;
  if (files.added_tokens.is_null()) {
    return out;
  }
  for (const auto& [content, value] : files.added_tokens.items()) {
    AddedToken token;
    token.content = content;
    token.id = static_cast<std::int32_t>(count_of(value, kIdLimit, {files.added_file(), "\"" + content.substr(0, 100) + "\""}));
    token.special = named(content);
    token.normalized = !token.special;
    out.push_back({std::move(token), "added_tokens.json"});
  }
  return out;
}

/// If both files list a token, tokenizer.json's entry counts.
void merge_listed(std::vector<ListedToken>& into, const std::vector<ListedToken>& from) {
  std::map<std::pair<std::int32_t, std::string>, std::size_t> indices;
  const auto index_for = [&](const ListedToken& one, std::size_t next) {
    return indices.emplace(std::pair(one.token.id, one.token.content), next).first->second;
  };
  for (std::size_t i = 0; i < into.size(); ++i) {
    index_for(into[i], i);
  }
  for (const ListedToken& one : from) {
    const std::size_t index = index_for(one, into.size());
    if (index == into.size()) {
      into.push_back(one);
    } else {
      into[index] = one;
    }
  }
}

void append_extra(const FolderArguments& arguments, FolderTokens& out) {
  const TokenList& list = arguments.extra.tokens ? arguments.extra : arguments.additional;
  out.extra_given = arguments.extra.tokens.has_value();
  if (!list.tokens || list.tokens->is_null()) {
    return;
  }
  if (!list.tokens->is_array()) {
    fail(list.location, "must be a list of tokens, or an object of named ones");
  }
  for (const ordered_json& one : *list.tokens) {
    if (auto token = read_folder_token(one, list.location)) {
      if (one.is_object() && !one.contains("special")) {
        make_special(*token);
      }
      out.extra.push_back(std::move(*token));
    }
  }
}

/// Named tokens take the flags of the list.
void take_flags(FolderTokens& tokens) {
  for (FolderTokens::Named& named : tokens.named) {
    for (const ListedToken& listed : tokens.listed) {
      if (is_standard_token(named.key) && named.token && named.token->token.content == listed.token.content) {
        named.token = FolderToken{listed.token, false, listed.normalized_given};
      }
    }
  }
}

void note_unread_map(const FolderFiles& files, const FolderArguments& arguments, std::vector<std::string>& notes) {
  if (files.special_map.is_null()) {
    return;
  }
  for (const auto& [key, value] : files.special_map.items()) {
    const auto token =
        is_standard_token(key) ? read_folder_token(value, JsonLocation{files.map_file(), ""}.at(key)) : std::nullopt;
    const FolderTokens::Named* named = arguments.standard.find(key);
    const bool same = named != nullptr && named->token && token && named->token->token.content == token->token.content;
    if (token && !same) {
      notes.push_back(
          "special_tokens_map.json does not count beside added_tokens_decoder of tokenizer_config.json, nor does its " + key +
          " " + token->token.content + " (as in transformers)");
    }
  }
}

}  // namespace

bool operator==(const FolderToken& a, const FolderToken& b) {
  return a.text_alone == b.text_alone && same_token(a.token, b.token);
}

void make_special(FolderToken& token) {
  token.token.special = true;
  token.token.normalized = token.normalized_given && token.token.normalized;
}

FolderTokens collect_folder_tokens(const FolderFiles& files, const TokenizerClass& tokenizer_class,
                                   const std::vector<ListedToken>& file_tokens, const std::optional<std::string>& pad,
                                   std::vector<std::string>& notes) {
  FolderArguments arguments;
  FolderTokens out;
  read_config_arguments(files, arguments);
  if (files.config.contains("added_tokens_decoder")) {
    out.listed = read_decoder(files);
    note_unread_map(files, arguments, notes);
  } else {
    if (!files.special_map.is_null()) {
      read_map_arguments(files, arguments, notes);
    }
    out.listed = read_added_file(files, arguments);
    merge_listed(out.listed, file_tokens);
  }
  std::stable_sort(out.listed.begin(), out.listed.end(),
                   [](const ListedToken& a, const ListedToken& b) { return a.token.id < b.token.id; });
  TokenMap named;
  for (const char* key : kStandardTokens) {
    named.set(key, std::nullopt);
  }
  for (const DefaultToken& one : tokenizer_class.defaults) {
    named.set(one.key, one.content == nullptr ? std::nullopt : read_folder_token(one.content, {}));
  }
  const bool has_pad = std::any_of(tokenizer_class.defaults.begin(), tokenizer_class.defaults.end(),
                                   [](const DefaultToken& one) { return std::string_view(one.key) == "pad_token"; });
  if (pad && !has_pad) {
    named.set("pad_token", read_folder_token(*pad, {}));
  }
  for (const TokenMap* map : {&arguments.standard, &arguments.found, &arguments.own}) {
    for (const FolderTokens::Named& item : map->items) {
      named.set(item.key, item.token);
    }
  }
  out.named = std::move(named.items);
  append_extra(arguments, out);
  take_flags(out);
  return out;
}

std::optional<std::string> named_content(const FolderTokens& tokens, std::string_view key) {
  for (const FolderTokens::Named& named : tokens.named) {
    if (named.key == key && named.token) {
      return named.token->token.content;
    }
  }
  return std::nullopt;
}

bool mentions_token(const FolderFiles& files, const std::string& key) {
  return files.config.contains(key) ||
         (!files.config.contains("added_tokens_decoder") && !files.special_map.is_null() && files.special_map.contains(key));
}

void set_default_token(FolderTokens& tokens, const FolderFiles& files, const std::string& key, const std::string& content) {
  for (FolderTokens::Named& named : tokens.named) {
    if (named.key == key && !mentions_token(files, key)) {
      named.token = read_folder_token(content, {});
    }
  }
}

}  // namespace lora_dist

// Keeps keys in file order, which determines the order of new tokens.
#include "src/tokenizer/folder_arguments.h"

#include <algorithm>
#include <utility>

#include "src/tokenizer/read_added_token.h"

namespace lora_dist {
namespace {

using nlohmann::ordered_json;

constexpr const char* kExtra = "extra_special_tokens";
constexpr const char* kAdditional = "additional_special_tokens";  // the older name

bool is_empty(const TokenList& list) { return !list.tokens || list.tokens->is_null() || list.tokens->empty(); }

void set_named(TokenMap& map, const ordered_json& object, const JsonLocation& location) {
  for (const auto& [key, value] : object.items()) {
    if (const auto token = read_folder_token(value, location.at(key))) {
      map.set(key, token);
    }
  }
}

void note_other_token(const FolderArguments& arguments, const std::string& key, const std::optional<FolderToken>& token,
                      std::vector<std::string>& notes) {
  const FolderTokens::Named* before = arguments.standard.find(key);
  if (before != nullptr && before->token && token && before->token->token.content != token->token.content) {
    notes.push_back("tokenizer_config.json says " + key + " = " + before->token->token.content + ", special_tokens_map.json " +
                    token->token.content + ", which counts (as in transformers)");
  }
}

}  // namespace

bool is_standard_token(std::string_view key) {
  return std::any_of(kStandardTokens.begin(), kStandardTokens.end(), [&](const char* one) { return key == one; });
}

const FolderTokens::Named* TokenMap::find(std::string_view key) const {
  const auto found = std::find_if(items.begin(), items.end(), [&](const auto& item) { return item.key == key; });
  return found == items.end() ? nullptr : &*found;
}

void TokenMap::set(const std::string& key, std::optional<FolderToken> token) {
  const auto found = std::find_if(items.begin(), items.end(), [&](const auto& item) { return item.key == key; });
  if (found == items.end()) {
    items.push_back({key, std::move(token)});
  } else {
    found->token = std::move(token);
  }
}

std::optional<FolderToken> read_folder_token(const ordered_json& value, const JsonLocation& location) {
  if (value.is_null()) {
    return std::nullopt;
  }
  FolderToken out;
  if (value.is_string()) {
    out.token.content = value.get<std::string>();
    out.token.special = true;
    return out;
  }
  if (!value.is_object()) {
    fail(location, "must be a string or an object with content");
  }
  out.token = read_added_token(value, location);
  out.text_alone = false;
  out.normalized_given = !member(value, "normalized", location).is_null();
  return out;
}

void read_config_arguments(const FolderFiles& files, FolderArguments& out) {
  const JsonLocation location{files.config_file(), ""};
  for (const auto& [key, value] : files.config.items()) {
    if (is_standard_token(key)) {
      out.standard.set(key, read_folder_token(value, location.at(key)));
    } else if (key == kExtra) {
      out.extra = {value, location.at(key)};
    } else if (key == kAdditional) {
      out.additional = {value, location.at(key)};
    } else if (key.ends_with("_token") && value.is_string()) {
      out.own.set(key, read_folder_token(value, location.at(key)));
    } else if (key.ends_with("_token") && (value.is_null() || (value.is_object() && value.contains("__type")))) {
      out.found.set(key, read_folder_token(value, location.at(key)));
    }
  }
  if (out.additional.tokens && is_empty(out.extra)) {
    out.extra = std::exchange(out.additional, {});
  }
  if (out.extra.tokens && out.extra.tokens->is_object()) {
    set_named(out.own, *out.extra.tokens, out.extra.location);
    out.extra = {};
  }
}

void read_map_arguments(const FolderFiles& files, FolderArguments& out, std::vector<std::string>& notes) {
  const JsonLocation location{files.map_file(), ""};
  for (const auto& [key, value] : files.special_map.items()) {
    if (key == kExtra && value.is_object()) {
      set_named(out.own, value, location.at(key));
      out.extra = {};
    } else if (key == kExtra || key == kAdditional) {
      TokenList& list = key == kExtra ? out.extra : out.additional;
      if (key == kExtra && list.tokens && list.tokens->is_array() && value.is_array()) {
        list.tokens->insert(list.tokens->end(), value.begin(), value.end());
      } else {
        list = {value, location.at(key)};
      }
    } else if (is_standard_token(key) || (key.ends_with("_token") && (value.is_string() || value.is_object()))) {
      std::optional<FolderToken> token = read_folder_token(value, location.at(key));
      if (token && !token->text_alone) {
        make_special(*token);
      }
      note_other_token(out, key, token, notes);
      (is_standard_token(key) ? out.standard : out.found).set(key, std::move(token));
      out.of_map.insert(key);
    }
  }
}

}  // namespace lora_dist

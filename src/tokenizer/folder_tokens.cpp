// Python's keyword arguments of a tokenizer class, as from_pretrained puts them together.
#include "src/tokenizer/folder_tokens.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <utility>

namespace lora_dist {
namespace {

using nlohmann::ordered_json;

constexpr std::array<const char*, 7> kStandard = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                  "pad_token", "cls_token", "mask_token"};
constexpr const char* kExtra = "extra_special_tokens";
constexpr const char* kAdditional = "additional_special_tokens";  // its older name
constexpr std::int32_t kIdLimit = 1 << 24;

bool is_standard(std::string_view key) {
  return std::any_of(kStandard.begin(), kStandard.end(), [&](const char* one) { return key == one; });
}

/// Keys and tokens, in the order in which they came; a key that comes again keeps its place.
struct TokenMap {
  std::vector<FolderTokens::Named> items{};

  FolderTokens::Named* find(std::string_view key) {
    const auto found = std::find_if(items.begin(), items.end(), [&](const auto& item) { return item.key == key; });
    return found == items.end() ? nullptr : &*found;
  }
  void set(const std::string& key, std::optional<FolderToken> token) {
    if (FolderTokens::Named* item = find(key)) {
      item->token = std::move(token);
    } else {
      items.push_back({key, std::move(token)});
    }
  }
};

/// What is known so far.
struct Arguments {
  TokenMap standard;             // kStandard that a file mentions
  TokenMap own;                  // the model's own: text in tokenizer_config.json, and extra_special_tokens with names
  TokenMap found;                // other keys that end in _token
  std::set<std::string> of_map;  // keys of special_tokens_map.json
  std::optional<ordered_json> extra, additional;
  JsonPlace extra_place, additional_place;
};

/// A text, an object, or null.
std::optional<FolderToken> read_token(const ordered_json& value, const JsonPlace& place) {
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
    fail(place, "must be a string or an object with content");
  }
  out.token = read_added_token(value, place);
  out.text_alone = false;
  out.normalized_given = !member(value, "normalized", place).is_null();
  return out;
}

bool is_empty(const std::optional<ordered_json>& value) { return !value || value->is_null() || value->empty(); }

void set_named(TokenMap& map, const ordered_json& object, const JsonPlace& place) {
  for (const auto& [key, value] : object.items()) {
    if (const auto token = read_token(value, place.at(key))) {
      map.set(key, token);
    }
  }
}

void read_config_keys(const FolderFiles& files, Arguments& out) {
  const JsonPlace place{files.config_file(), ""};
  for (const auto& [key, value] : files.config.items()) {
    if (is_standard(key)) {
      out.standard.set(key, read_token(value, place.at(key)));
    } else if (key == kExtra) {
      out.extra = value;
      out.extra_place = place.at(key);
    } else if (key == kAdditional) {
      out.additional = value;
      out.additional_place = place.at(key);
    } else if (key.ends_with("_token") && value.is_string()) {
      out.own.set(key, read_token(value, place.at(key)));
    } else if (key.ends_with("_token") && (value.is_null() || (value.is_object() && value.contains("__type")))) {
      out.found.set(key, read_token(value, place.at(key)));
    }
  }
  if (out.additional && is_empty(out.extra)) {
    out.extra = std::exchange(out.additional, std::nullopt);
    out.extra_place = out.additional_place;
  }
  if (out.extra && out.extra->is_object()) {
    set_named(out.own, *out.extra, out.extra_place);
    out.extra.reset();
  }
}

/// special_tokens_map.json, whose tokens are special whatever they say; it rules over tokenizer_config.json.
void read_map_keys(const FolderFiles& files, Arguments& out, std::vector<std::string>& notes) {
  const JsonPlace place{files.map_file(), ""};
  for (const auto& [key, value] : files.special_map.items()) {
    if (key == kExtra && value.is_object()) {
      set_named(out.own, value, place.at(key));
      out.extra.reset();
    } else if (key == kExtra || key == kAdditional) {
      auto& list = key == kExtra ? out.extra : out.additional;
      if (key == kExtra && list && list->is_array() && value.is_array()) {
        list->insert(list->end(), value.begin(), value.end());
      } else {
        list = value;
      }
      (key == kExtra ? out.extra_place : out.additional_place) = place.at(key);
    } else if (is_standard(key) || (key.ends_with("_token") && (value.is_string() || value.is_object()))) {
      std::optional<FolderToken> token = read_token(value, place.at(key));
      if (token && !token->text_alone) {
        token->token.special = true;
        token->token.normalized = token->normalized_given && token->token.normalized;
      }
      const FolderTokens::Named* before = is_standard(key) ? out.standard.find(key) : nullptr;
      if (before != nullptr && before->token && token && before->token->token.content != token->token.content) {
        notes.push_back("tokenizer_config.json says " + key + " = " + before->token->token.content +
                        ", special_tokens_map.json " + token->token.content + ", which counts (as in transformers)");
      }
      (is_standard(key) ? out.standard : out.found).set(key, std::move(token));
      out.of_map.insert(key);
    }
  }
}

std::vector<ListedToken> read_decoder(const FolderFiles& files) {
  const JsonPlace place = JsonPlace{files.config_file(), ""}.at("added_tokens_decoder");
  const ordered_json& object = files.config["added_tokens_decoder"];
  if (!object.is_object()) {
    fail(place, "must be an object");
  }
  std::vector<ListedToken> out;
  for (const auto& [key, value] : object.items()) {
    std::int32_t id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc{} || end != key.data() + key.size() || id < 0 || id >= kIdLimit) {
      fail(place, "has the key \"" + key.substr(0, 40) + "\", which is not a token id");
    }
    AddedToken token = read_added_token(value, place.at(key));
    token.id = id;
    const bool given = !member(value, "normalized", place.at(key)).is_null();
    out.push_back({std::move(token), "added_tokens_decoder of tokenizer_config.json", given});
  }
  return out;
}

/// added_tokens.json has no flags: a token is special where another file names it (tokenizer_config.json by a text alone).
std::vector<ListedToken> read_added_file(const FolderFiles& files, const Arguments& arguments) {
  const auto named = [&](const std::string& content) {
    const auto& list = arguments.standard.items;
    const bool standard = std::any_of(list.begin(), list.end(), [&](const auto& item) {
      return item.token && item.token->token.content == content &&
             (item.token->text_alone || arguments.of_map.contains(item.key));
    });
    return standard || (arguments.extra && arguments.extra->is_array() &&
                        std::find(arguments.extra->begin(), arguments.extra->end(), content) != arguments.extra->end());
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

/// The two files may state the same token; tokenizer.json's counts.
void merge_listed(std::vector<ListedToken>& into, const std::vector<ListedToken>& from) {
  for (const ListedToken& one : from) {
    const auto same = std::find_if(into.begin(), into.end(), [&](const ListedToken& other) {
      return other.token.id == one.token.id && other.token.content == one.token.content;
    });
    if (same == into.end()) {
      into.push_back(one);
    } else {
      *same = one;
    }
  }
}

void append_extra(const Arguments& arguments, FolderTokens& out) {
  const bool renamed = !arguments.extra && arguments.additional;
  const std::optional<ordered_json>& list = renamed ? arguments.additional : arguments.extra;
  const JsonPlace& place = renamed ? arguments.additional_place : arguments.extra_place;
  out.extra_given = arguments.extra.has_value();
  if (!list || list->is_null()) {
    return;
  }
  if (!list->is_array()) {
    fail(place, "must be a list of tokens, or an object of named ones");
  }
  for (const ordered_json& one : *list) {
    if (auto token = read_token(one, place)) {
      if (one.is_object() && !one.contains("special")) {
        token->token.special = true;
        token->token.normalized = token->normalized_given && token->token.normalized;
      }
      out.extra.push_back(std::move(*token));
    }
  }
}

/// Named tokens take the flags of the list.
void take_flags(FolderTokens& tokens) {
  for (FolderTokens::Named& named : tokens.named) {
    for (const ListedToken& listed : tokens.listed) {
      if (is_standard(named.key) && named.token && named.token->token.content == listed.token.content) {
        named.token = FolderToken{listed.token, false, listed.normalized_given};
      }
    }
  }
}

void note_unread_map(const FolderFiles& files, const Arguments& arguments, std::vector<std::string>& notes) {
  if (files.special_map.is_null()) {
    return;
  }
  for (const auto& [key, value] : files.special_map.items()) {
    const auto token = is_standard(key) ? read_token(value, JsonPlace{files.map_file(), ""}.at(key)) : std::nullopt;
    const auto& items = arguments.standard.items;
    const bool same = std::any_of(items.begin(), items.end(), [&](const auto& item) {
      return item.key == key && token && item.token && item.token->token.content == token->token.content;
    });
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

AddedToken read_added_token(const ordered_json& object, const JsonPlace& place) {
  AddedToken out;
  out.content = text_member(object, "content", place);
  out.single_word = bool_member(object, "single_word", false, place);
  out.lstrip = bool_member(object, "lstrip", false, place);
  out.rstrip = bool_member(object, "rstrip", false, place);
  out.special = bool_member(object, "special", false, place);
  out.normalized = bool_member(object, "normalized", !out.special, place);
  return out;
}

FolderTokens collect_folder_tokens(const FolderFiles& files, const TokenizerClass& tokenizer_class,
                                   const std::vector<ListedToken>& file_tokens, const std::optional<std::string>& pad,
                                   std::vector<std::string>& notes) {
  Arguments arguments;
  FolderTokens out;
  read_config_keys(files, arguments);
  if (files.config.contains("added_tokens_decoder")) {
    out.listed = read_decoder(files);
    note_unread_map(files, arguments, notes);
  } else {
    if (!files.special_map.is_null()) {
      read_map_keys(files, arguments, notes);
    }
    out.listed = read_added_file(files, arguments);
    merge_listed(out.listed, file_tokens);
  }
  std::stable_sort(out.listed.begin(), out.listed.end(),
                   [](const ListedToken& a, const ListedToken& b) { return a.token.id < b.token.id; });
  TokenMap named;
  for (const char* key : kStandard) {
    named.set(key, std::nullopt);
  }
  for (const DefaultToken& one : tokenizer_class.defaults) {
    named.set(one.key, one.content == nullptr ? std::nullopt : read_token(one.content, {}));
  }
  const bool knows_pad = std::any_of(tokenizer_class.defaults.begin(), tokenizer_class.defaults.end(),
                                     [](const DefaultToken& one) { return std::string_view(one.key) == "pad_token"; });
  if (pad && !knows_pad) {
    named.set("pad_token", read_token(*pad, {}));
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
      named.token = read_token(content, {});
    }
  }
}

}  // namespace lora_dist

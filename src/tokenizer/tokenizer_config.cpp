// Only the keys that change ids are read; the rest of these files is for Python.
#include "src/tokenizer/tokenizer_config.h"

#include <charconv>

#include "src/io/chat_template_files.h"
#include "src/io/strict_json.h"
#include "src/tokenizer/json_fields.h"

namespace lora_dist {
namespace {

using nlohmann::json;

/// "<s>" or {"content": "<s>", ...}; absent and null are none.
std::optional<std::string> special_token(const json& document, const std::string& key, const JsonPlace& place) {
  const json& value = member(document, key, place);
  if (value.is_null()) {
    return std::nullopt;
  }
  if (value.is_object()) {
    return text_member(value, "content", place.at(key));
  }
  return text_member(document, key, place);
}

void fill_special_tokens(const json& document, const JsonPlace& place, TokenizerConfig& out) {
  const auto fill = [&](std::optional<std::string>& token, const char* key) {
    if (!token) {
      token = special_token(document, key, place);
    }
  };
  fill(out.bos, "bos_token");
  fill(out.eos, "eos_token");
  fill(out.unk, "unk_token");
  fill(out.pad, "pad_token");
}

std::optional<bool> optional_bool(const json& document, const char* key, const JsonPlace& place) {
  if (member(document, key, place).is_null()) {
    return std::nullopt;
  }
  return bool_member(document, key, false, place);
}

std::vector<AddedToken> read_added(const json& object, const JsonPlace& place) {
  std::vector<AddedToken> out;
  if (object.is_null()) {
    return out;
  }
  if (!object.is_object()) {
    fail(place, "must be an object");
  }
  for (const auto& [key, value] : object.items()) {
    AddedToken token;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
    if (error != std::errc{} || end != key.data() + key.size() || token.id < 0 || token.id >= (1 << 24)) {
      fail(place, "has the key \"" + key.substr(0, 40) + "\", which is not a token id");
    }
    token.content = text_member(value, "content", place.at(key));
    token.single_word = bool_member(value, "single_word", false, place.at(key));
    token.lstrip = bool_member(value, "lstrip", false, place.at(key));
    token.rstrip = bool_member(value, "rstrip", false, place.at(key));
    token.special = bool_member(value, "special", false, place.at(key));
    token.normalized = bool_member(value, "normalized", !token.special, place.at(key));
    out.push_back(std::move(token));
  }
  return out;
}

}  // namespace

TokenizerConfig read_tokenizer_config(const std::filesystem::path& model_folder) {
  TokenizerConfig out;
  const std::filesystem::path config = model_folder / "tokenizer_config.json";
  if (std::filesystem::exists(config)) {
    const json document = read_json_file(config, ExitCode::model);
    const JsonPlace place{config, ""};
    fill_special_tokens(document, place, out);
    out.add_bos = optional_bool(document, "add_bos_token", place);
    out.add_eos = optional_bool(document, "add_eos_token", place);
    out.legacy = bool_member(document, "legacy", true, place);
    out.add_prefix_space = bool_member(document, "add_prefix_space", false, place);
    if (!member(document, "tokenizer_class", place).is_null()) {
      out.tokenizer_class = text_member(document, "tokenizer_class", place);
    }
    out.has_chat_template = !member(document, "chat_template", place).is_null();
    out.added = read_added(member(document, "added_tokens_decoder", place), place.at("added_tokens_decoder"));
  }
  const std::filesystem::path map = model_folder / "special_tokens_map.json";
  if (std::filesystem::exists(map)) {
    fill_special_tokens(read_json_file(map, ExitCode::model), {map, ""}, out);
  }
  out.has_chat_template = out.has_chat_template || !chat_template_files(model_folder).empty();
  return out;
}

}  // namespace lora_dist

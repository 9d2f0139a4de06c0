// Reads the model of tokenizer.json: vocabulary and merges.
#include "src/tokenizer/tokenizer_json.h"

namespace lora_dist {
namespace {

using nlohmann::json;

void read_vocabulary(const json& model, const JsonLocation& location, BpeModel& out) {
  const json& vocab = member(model, "vocab", location);
  if (!vocab.is_object() || vocab.empty()) {
    fail(location.at("vocab"), vocab.is_array() ? "is a list, as in Unigram models, which are not supported yet"
                                                : "must be an object of tokens and their ids");
  }
  for (const auto& [token, value] : vocab.items()) {
    const std::int32_t id = read_token_id(value, location.at("vocab"));
    if (!out.tokens.emplace(id, token).second) {
      fail(location.at("vocab"), "gives the id " + std::to_string(id) + " to two tokens");
    }
    out.ids.emplace(token, id);
  }
}

std::pair<std::string, std::string> read_merge(const json& merge, const JsonLocation& location) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  if (merge.is_string()) {
    const std::string text = merge.get<std::string>();
    const std::size_t space = text.find(' ');
    if (space != std::string::npos && text.find(' ', space + 1) == std::string::npos) {
      return {text.substr(0, space), text.substr(space + 1)};
    }
  }
  fail(location, "is neither \"left right\" nor [\"left\", \"right\"]");
}

void read_merges(const json& model, const JsonLocation& location, BpeModel& out) {
  const json& merges = member(model, "merges", location);
  if (!merges.is_array()) {
    fail(location.at("merges"), "must be a list");
  }
  std::int32_t rank = 0;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    if (merges[i].is_string() && merges[i].get_ref<const std::string&>().starts_with("#version")) {
      continue;
    }
    const JsonLocation here = location.at("merges[" + std::to_string(i) + "]");
    const auto [left, right] = read_merge(merges[i], here);
    if (!right.starts_with(out.continuation_prefix)) {
      fail(here, "has a right part without the continuing_subword_prefix");
    }
    const std::string tail = right.substr(out.continuation_prefix.size());
    const auto a = out.ids.find(left), b = out.ids.find(right), both = out.ids.find(left + tail);
    if (a == out.ids.end() || b == out.ids.end() || both == out.ids.end()) {
      fail(here, "uses a token that is not in the vocabulary");
    }
    out.merges.insert(a->second, b->second, {rank++, both->second});
  }
}

std::string optional_text(const json& object, const char* key, const JsonLocation& location) {
  return member(object, key, location).is_null() ? std::string() : text_member(object, key, location);
}

}  // namespace

BpeModel read_bpe_model(const json& model, const JsonLocation& location) {
  const json& type = member(model, "type", location);
  if (type.is_string() && type.get<std::string>() != "BPE") {
    refuse(location, type.get<std::string>().substr(0, 40));
  }
  if (const json& dropout = member(model, "dropout", location); !dropout.is_null() && dropout != 0.0) {
    refuse(location, "dropout");
  }
  BpeModel out;
  out.continuation_prefix = optional_text(model, "continuing_subword_prefix", location);
  out.end_suffix = optional_text(model, "end_of_word_suffix", location);
  read_vocabulary(model, location, out);
  read_merges(model, location, out);
  out.fuse_unk = bool_member(model, "fuse_unk", false, location);
  out.byte_fallback = bool_member(model, "byte_fallback", false, location);
  out.ignore_merges = bool_member(model, "ignore_merges", false, location);
  if (!member(model, "unk_token", location).is_null()) {
    const auto found = out.ids.find(text_member(model, "unk_token", location));
    if (found == out.ids.end()) {
      fail(location.at("unk_token"), "is not in the vocabulary");
    }
    out.unk = found->second;
  }
  return out;
}

}  // namespace lora_dist

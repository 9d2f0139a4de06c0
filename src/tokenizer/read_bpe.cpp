// Reads the model of tokenizer.json: vocabulary and merges.
#include "src/tokenizer/tokenizer_json.h"

namespace lora_dist {
namespace {

using nlohmann::json;

void read_vocabulary(const json& model, const JsonPlace& place, BpeModel& out) {
  const json& vocab = member(model, "vocab", place);
  if (!vocab.is_object() || vocab.empty()) {
    fail(place.at("vocab"), vocab.is_array() ? "is a list, as in Unigram models, which are not supported yet"
                                             : "must be an object of tokens and their ids");
  }
  for (const auto& [token, value] : vocab.items()) {
    const std::int32_t id = read_token_id(value, place.at("vocab"));
    if (!out.tokens.emplace(id, token).second) {
      fail(place.at("vocab"), "gives the id " + std::to_string(id) + " to two tokens");
    }
    out.ids.emplace(token, id);
  }
}

std::pair<std::string, std::string> read_merge(const json& merge, const JsonPlace& place) {
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
  fail(place, "is neither \"left right\" nor [\"left\", \"right\"]");
}

void read_merges(const json& model, const JsonPlace& place, BpeModel& out) {
  const json& merges = member(model, "merges", place);
  if (!merges.is_array()) {
    fail(place.at("merges"), "must be a list");
  }
  std::int32_t rank = 0;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    if (merges[i].is_string() && merges[i].get_ref<const std::string&>().starts_with("#version")) {
      continue;
    }
    const JsonPlace here = place.at("merges[" + std::to_string(i) + "]");
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

std::string optional_text(const json& object, const char* key, const JsonPlace& place) {
  return member(object, key, place).is_null() ? std::string() : text_member(object, key, place);
}

}  // namespace

BpeModel read_bpe_model(const json& model, const JsonPlace& place) {
  const json& type = member(model, "type", place);
  if (type.is_string() && type.get<std::string>() != "BPE") {
    refuse(place, type.get<std::string>().substr(0, 40));
  }
  if (const json& dropout = member(model, "dropout", place); !dropout.is_null() && dropout != 0.0) {
    refuse(place, "dropout");
  }
  BpeModel out;
  out.continuation_prefix = optional_text(model, "continuing_subword_prefix", place);
  out.end_suffix = optional_text(model, "end_of_word_suffix", place);
  read_vocabulary(model, place, out);
  read_merges(model, place, out);
  out.fuse_unk = bool_member(model, "fuse_unk", false, place);
  out.byte_fallback = bool_member(model, "byte_fallback", false, place);
  out.ignore_merges = bool_member(model, "ignore_merges", false, place);
  if (!member(model, "unk_token", place).is_null()) {
    const auto found = out.ids.find(text_member(model, "unk_token", place));
    if (found == out.ids.end()) {
      fail(place.at("unk_token"), "is not in the vocabulary");
    }
    out.unk = found->second;
  }
  return out;
}

}  // namespace lora_dist

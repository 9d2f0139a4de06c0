// Reads a BPE model of tokenizer.json: vocabulary and merges.
#include "src/tokenizer/tokenizer_json.h"

namespace lora_dist {
namespace {

using nlohmann::json;
using Shape = ModelLists::Shape;

/// The two parts of a merge joined, the right one without the prefix.
std::string_view joined(const MergeTexts& merges, std::size_t i, const std::string& prefix, std::string& room) {
  if (prefix.empty()) {
    return merges.both(i);
  }
  room.assign(merges.left(i)).append(merges.right(i).substr(prefix.size()));
  return room;
}

void read_merges(const ModelLists& lists, const JsonLocation& location, BpeModel& out) {
  if (lists.merges_shape != Shape::list) {
    fail(location.at("merges"), "must be a list");
  }
  const MergeTexts& merges = lists.merges;
  out.merges.reserve(merges.size());
  std::string room;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const auto refuse_merge = [&](const char* why) {
      fail(location.at("merges[" + std::to_string(i + lists.skipped_merges) + "]"), why);
    };
    if (!merges.right(i).starts_with(out.continuation_prefix)) {
      refuse_merge("has a right part without the continuing_subword_prefix");
    }
    const auto left = out.vocab.id_of(merges.left(i)), right = out.vocab.id_of(merges.right(i));
    const auto both = out.vocab.id_of(joined(merges, i, out.continuation_prefix, room));
    if (!left || !right || !both) {
      refuse_merge("uses a token that is not in the vocabulary");
    }
    out.merges.insert(*left, *right, {static_cast<std::int32_t>(i), *both});
  }
}

std::string optional_text(const json& object, const char* key, const JsonLocation& location) {
  return member(object, key, location).is_null() ? std::string() : text_member(object, key, location);
}

}  // namespace

BpeModel read_bpe_model(const json& model, ModelLists&& lists, const JsonLocation& location) {
  if (const json& dropout = member(model, "dropout", location); !dropout.is_null() && dropout != 0.0) {
    refuse(location, "dropout");
  }
  if (lists.vocab_shape != Shape::object || lists.vocab.empty()) {
    fail(location.at("vocab"), lists.vocab_shape == Shape::list ? "is a list, as in Unigram models, and the model's type is BPE"
                                                                : "must be an object of tokens and their ids");
  }
  BpeModel out;
  out.continuation_prefix = optional_text(model, "continuing_subword_prefix", location);
  out.end_suffix = optional_text(model, "end_of_word_suffix", location);
  out.vocab = std::move(lists.vocab);
  read_merges(lists, location, out);
  out.fuse_unk = bool_member(model, "fuse_unk", false, location);
  out.byte_fallback = bool_member(model, "byte_fallback", false, location);
  out.ignore_merges = bool_member(model, "ignore_merges", false, location);
  if (!member(model, "unk_token", location).is_null()) {
    out.unk = out.vocab.id_of(text_member(model, "unk_token", location));
    if (!out.unk) {
      fail(location.at("unk_token"), "is not in the vocabulary");
    }
  }
  return out;
}

}  // namespace lora_dist

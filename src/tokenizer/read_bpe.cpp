// Reads a BPE model of tokenizer.json: vocabulary and merges.
#include <array>

#include "src/tokenizer/tokenizer_json.h"

namespace lora_dist {
namespace {

using nlohmann::json;
using Shape = ModelLists::Shape;

constexpr std::size_t kAhead = 16;  // merges between asking memory for something and using it

/// The two parts of a merge joined, the right one without the prefix.
std::string_view joined(const MergeTexts& merges, std::size_t i, const std::string& prefix, std::string& room) {
  if (prefix.empty()) {
    return merges.both(i);
  }
  room.assign(merges.left(i)).append(merges.right(i).substr(prefix.size()));
  return room;
}

/// A merge's three tokens and their hashes.
struct MergeTokens {
  std::array<std::string_view, 3> texts;  // left, right, and the two joined
  std::array<std::uint32_t, 3> hashes{};
  std::string room;  // of the joined ones, if they do not stand one behind the other
};

void look_ahead(const MergeTexts& merges, std::size_t i, const BpeModel& model, MergeTokens& out) {
  out.texts = {merges.left(i), merges.right(i), joined(merges, i, model.continuation_prefix, out.room)};
  for (std::size_t k = 0; k < out.texts.size(); ++k) {
    out.hashes[k] = TokenTable::hash_of(out.texts[k]);
    model.vocab.expect_slot(out.hashes[k]);
  }
}

/// Ids of left, right and both of each merge. Nearly all of the time would be waiting for memory, so that what a merge needs is
/// asked for kAhead merges before.
std::vector<std::array<std::int32_t, 3>> merge_ids(const ModelLists& lists, const JsonLocation& location, const BpeModel& model) {
  const MergeTexts& merges = lists.merges;
  const auto refuse_merge = [&](std::size_t i, const char* why) {
    fail(location.at("merges[" + std::to_string(i + lists.skipped_merges) + "]"), why);
  };
  std::array<MergeTokens, kAhead> coming;
  std::vector<std::array<std::int32_t, 3>> out(merges.size());
  for (std::size_t step = 0; step < merges.size() + kAhead; ++step) {
    if (step >= kAhead) {
      const std::size_t i = step - kAhead;
      const MergeTokens& now = coming[i % kAhead];
      for (std::size_t k = 0; k < now.texts.size(); ++k) {
        const auto id = model.vocab.id_of(now.texts[k], now.hashes[k]);
        if (!id) {
          refuse_merge(i, "uses a token that is not in the vocabulary");
        }
        out[i][k] = *id;
      }
    }
    if (step < merges.size()) {
      if (!merges.right(step).starts_with(model.continuation_prefix)) {
        refuse_merge(step, "has a right part without the continuing_subword_prefix");
      }
      look_ahead(merges, step, model, coming[step % kAhead]);
    }
    if (step >= kAhead / 2) {
      for (const std::uint32_t hash : coming[(step - kAhead / 2) % kAhead].hashes) {
        model.vocab.expect_text(hash);
      }
    }
  }
  return out;
}

void read_merges(const ModelLists& lists, const JsonLocation& location, BpeModel& out) {
  if (lists.merges_shape != Shape::list) {
    fail(location.at("merges"), "must be a list");
  }
  const std::vector<std::array<std::int32_t, 3>> ids = merge_ids(lists, location, out);
  out.merges.reserve(ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i + kAhead < ids.size()) {
      out.merges.expect(ids[i + kAhead][0], ids[i + kAhead][1]);
    }
    out.merges.insert(ids[i][0], ids[i][1], {static_cast<std::int32_t>(i), ids[i][2]});
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

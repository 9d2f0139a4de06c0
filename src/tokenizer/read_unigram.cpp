// Reads a Unigram model of tokenizer.json: pieces with scores.
#include <algorithm>
#include <limits>

#include "src/tokenizer/tokenizer_json.h"

namespace lora_dist {
namespace {

constexpr double kUnkPenalty = 10.0;  // below the worst piece (kUnkPenalty of sentencepiece)

}  // namespace

UnigramModel read_unigram_model(const nlohmann::json& model, ModelLists&& lists, const JsonLocation& location) {
  if (lists.vocab_shape != ModelLists::Shape::list || lists.pieces.empty()) {
    fail(location.at("vocab"), "must be a list of pieces and their scores, as in Unigram models, with one piece at least");
  }
  UnigramModel out;
  double least = std::numeric_limits<double>::infinity();
  out.vocab.reserve(lists.pieces.size(), 8 * lists.pieces.size());
  for (std::size_t i = 0; i < lists.pieces.size(); ++i) {
    const auto& [text, score] = lists.pieces[i];
    const auto id = static_cast<std::int32_t>(i);
    const auto before = out.vocab.id_of(text);
    out.vocab.assign(text, id);
    if (before) {
      out.vocab.add_other_id(text, *before);
    }
    out.scores.push_back(score);
    least = std::min(least, score);
  }
  std::vector<std::pair<std::string_view, std::int32_t>> pieces;
  for (std::size_t i = 0; i < out.vocab.size(); ++i) {
    pieces.emplace_back(out.vocab.token(i), *out.vocab.id_of(out.vocab.token(i)));
  }
  out.pieces = ByteTrie(std::move(pieces));
  out.unk_score = least - kUnkPenalty;
  out.byte_fallback = bool_member(model, "byte_fallback", false, location);
  if (const nlohmann::json& unk = member(model, "unk_id", location); !unk.is_null()) {
    const auto count = static_cast<std::int64_t>(lists.pieces.size());
    out.unk = static_cast<std::int32_t>(count_of(unk, count, location.at("unk_id")));
  }
  return out;
}

}  // namespace lora_dist

// After models/unigram/model.rs of tokenizers (encode_optimized): the best path to each byte, from left to right.
#include "src/tokenizer/unigram.h"

#include <algorithm>
#include <string>

#include "src/core/error.h"
#include "src/core/utf8.h"
#include "src/tokenizer/byte_tokens.h"

namespace lora_dist {
namespace {

/// The best way to cut the text up to some byte.
struct Step {
  double score = 0.0;
  std::int32_t id = -1;      // of the last piece; -1: no way leads here
  std::uint32_t length = 0;  // its bytes
};

void offer_step(Step& to, double score, std::int32_t id, std::size_t length) {
  if (to.id < 0 || score > to.score) {
    to = {score, id, static_cast<std::uint32_t>(length)};
  }
}

std::int32_t unk_of(const UnigramModel& model) {
  if (!model.unk) {
    throw Error(ExitCode::model,
                "the text has a character that is no piece of the tokenizer's Unigram model, which has no unk_id; set "
                "model.unk_id in tokenizer.json, or take the character out of the text");
  }
  return *model.unk;
}

std::vector<Step> best_steps(const UnigramModel& model, std::string_view text) {
  std::vector<Step> steps(text.size() + 1);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t character = utf8_maximal_subpart(text.substr(at));
    const double score = steps[at].score;
    bool known = false;
    model.pieces.for_each_prefix(text.substr(at), [&](std::size_t length, std::int32_t id) {
      offer_step(steps[at + length], score + model.scores[static_cast<std::size_t>(id)], id, length);
      known = known || length == character;
    });
    if (!known) {
      offer_step(steps[at + character], score + model.unk_score, unk_of(model), character);
    }
    at += character;
  }
  return steps;
}

/// Ids of a stretch: its token, its bytes, or unk.
void append_stretch(const UnigramModel& model, std::string_view stretch, std::vector<std::int32_t>& out) {
  if (const auto id = model.vocab.id_of(stretch)) {
    out.push_back(*id);
  } else if (!model.byte_fallback || !append_byte_tokens(model.vocab, stretch, out)) {
    out.push_back(unk_of(model));
  }
}

std::vector<std::int32_t> best_path(const UnigramModel& model, std::string_view text) {
  const std::vector<Step> steps = best_steps(model, text);
  std::vector<std::size_t> cuts = {text.size()};  // from the end; a run of unk has no cuts inside
  bool after_unk = false;
  for (std::size_t end = text.size(); end > 0; end -= steps[end].length) {
    const bool unk = steps[end].id == model.unk;
    if (unk && after_unk) {
      cuts.pop_back();
    }
    cuts.push_back(end - steps[end].length);
    after_unk = unk;
  }
  std::reverse(cuts.begin(), cuts.end());
  std::vector<std::int32_t> out;
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
    append_stretch(model, text.substr(cuts[i], cuts[i + 1] - cuts[i]), out);
  }
  return out;
}

}  // namespace

void encode_piece(const UnigramModel& model, WordCache& cache, std::string_view piece, std::vector<std::int32_t>& out) {
  if (piece.empty() || cache.find(piece, out)) {
    return;
  }
  const std::vector<std::int32_t> ids = best_path(model, piece);
  cache.keep(piece, ids.data(), ids.size());
  out.insert(out.end(), ids.begin(), ids.end());
}

}  // namespace lora_dist

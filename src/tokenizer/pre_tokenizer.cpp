// After pre_tokenizers/{split,metaspace,byte_level}.rs of tokenizers.
#include "src/tokenizer/pre_tokenizer.h"

#include "src/tokenizer/byte_alphabet.h"
#include "src/tokenizer/normalizer.h"
#include "src/tokenizer/overloaded.h"

namespace lora_dist {
namespace {

std::string_view piece_of(const Pieces& pieces, const Range& range) {
  return pieces.text.substr(range.begin, range.end - range.begin);
}

/// Replaces each piece by rewrite(piece, its number).
template <class Rewrite>
void rewrite_each(Pieces& pieces, const Rewrite& rewrite) {
  std::string text;
  text.reserve(pieces.text.size() + pieces.text.size() / 2);
  for (std::size_t i = 0; i < pieces.ranges.size(); ++i) {
    const std::size_t begin = text.size();
    text += rewrite(piece_of(pieces, pieces.ranges[i]), i);
    pieces.ranges[i] = {begin, text.size()};
  }
  pieces.rewritten = std::move(text);
  pieces.text = pieces.rewritten;
}

void cut_each(Pieces& pieces, const SplitStep& step) {
  std::vector<Range> cut;
  cut.reserve(pieces.text.size() / 4);
  for (const Range& range : pieces.ranges) {
    split(step, pieces.text, range, cut);
  }
  if (step.behavior == SplitBehavior::removed && !pieces.ranges.empty()) {
    pieces.front_cut = pieces.front_cut || cut.empty() || cut.front().begin != pieces.ranges.front().begin;
  }
  pieces.ranges = std::move(cut);
}

void apply(Pieces& pieces, const MetaspaceStep& step, bool at_start, bool prepend) {
  at_start = at_start && !pieces.front_cut;
  rewrite_each(pieces, [&](std::string_view piece, std::size_t i) {
    std::string text = replace_all(piece, " ", step.replacement);
    const bool wanted = step.scheme == PrependScheme::always || (step.scheme == PrependScheme::first && at_start && i == 0);
    if (wanted && (prepend || i > 0) && !text.empty() && !text.starts_with(step.replacement)) {
      text.insert(0, step.replacement);
    }
    return text;
  });
  if (step.split) {
    cut_each(pieces, {step.replacement, SplitBehavior::merged_with_next});
  }
}

void apply(Pieces& pieces, const ByteLevelStep& step, bool prepend) {
  if (step.prefix_space) {
    rewrite_each(pieces, [&](std::string_view piece, std::size_t i) {
      return (piece.starts_with(' ') || (i == 0 && !prepend) ? "" : " ") + std::string(piece);
    });
  }
  for (const SplitStep& pattern : step.split) {
    cut_each(pieces, pattern);
  }
  if (step.in_alphabet) {
    rewrite_each(pieces, [](std::string_view piece, std::size_t) { return to_byte_alphabet(piece); });
  }
}

}  // namespace

void pre_tokenize(const std::vector<PreTokenizeStep>& steps, std::string_view part, bool at_start, bool prepend, Pieces& out) {
  out.text = part;
  out.front_cut = false;
  out.ranges.clear();
  if (!part.empty()) {
    out.ranges.push_back({0, part.size()});
  }
  for (const PreTokenizeStep& step : steps) {
    std::visit(Overloaded{[&](const SplitStep& s) { cut_each(out, s); },
                          [&](const MetaspaceStep& s) { apply(out, s, at_start, prepend); },
                          [&](const ByteLevelStep& s) { apply(out, s, prepend); }},
               step);
  }
}

SplitStep gpt2_split() {
  return {compile_regex(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)")};
}

}  // namespace lora_dist

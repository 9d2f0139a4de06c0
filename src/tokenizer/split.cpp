// After tokenizer/normalizer.rs (split) and pattern.rs of tokenizers.
#include "src/tokenizer/split.h"

#include <algorithm>
#include <ranges>

namespace lora_dist {
namespace {

struct Stretch {
  Range range;
  bool match = false;
};

std::vector<Match> matches_of(const SplitStep& step, std::string_view text) {
  std::vector<Match> out;
  if (const auto* regex = std::get_if<Regex>(&step.pattern)) {
    find_matches(*regex, text, out);
    return out;
  }
  const std::string& literal = std::get<std::string>(step.pattern);
  for (std::size_t at = text.find(literal); at != std::string_view::npos; at = text.find(literal, at + literal.size())) {
    out.push_back({at, at + literal.size()});
  }
  return out;
}

/// The text as alternating matches and gaps.
std::vector<Stretch> stretches_of(const SplitStep& step, std::string_view text, std::size_t offset) {
  const std::vector<Match> matches = matches_of(step, text);
  std::vector<Stretch> out;
  out.reserve(matches.size() + 1);
  std::size_t done = 0;
  for (const Match& match : matches) {
    if (match.begin > done) {
      out.push_back({{offset + done, offset + match.begin}, step.invert});
    }
    out.push_back({{offset + match.begin, offset + match.end}, !step.invert});
    done = match.end;
  }
  if (done < text.size()) {
    out.push_back({{offset + done, offset + text.size()}, step.invert});
  }
  return out;
}

std::vector<Range> with_previous(const std::vector<Stretch>& stretches) {
  std::vector<Range> out;
  bool after_match = false;
  for (const Stretch& s : stretches) {
    if (s.match && !after_match && !out.empty()) {
      out.back().end = s.range.end;
    } else {
      out.push_back(s.range);
    }
    after_match = s.match;
  }
  return out;
}

std::vector<Range> with_next(const std::vector<Stretch>& stretches) {
  std::vector<Range> out;  // built from the end
  bool before_match = false;
  for (const Stretch& s : std::views::reverse(stretches)) {
    if (s.match && !before_match && !out.empty()) {
      out.back().begin = s.range.begin;
    } else {
      out.push_back(s.range);
    }
    before_match = s.match;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<Range> contiguous(const std::vector<Stretch>& stretches) {
  std::vector<Range> out;
  for (std::size_t i = 0; i < stretches.size(); ++i) {
    if (i > 0 && stretches[i].match == stretches[i - 1].match) {
      out.back().end = stretches[i].range.end;
    } else {
      out.push_back(stretches[i].range);
    }
  }
  return out;
}

void append(const std::vector<Range>& pieces, std::vector<Range>& out) {
  std::copy_if(pieces.begin(), pieces.end(), std::back_inserter(out), [](const Range& r) { return r.begin < r.end; });
}

}  // namespace

void split(const SplitStep& step, std::string_view text, Range part, std::vector<Range>& out) {
  const std::vector<Stretch> stretches = stretches_of(step, text.substr(part.begin, part.end - part.begin), part.begin);
  switch (step.behavior) {
    case SplitBehavior::merged_with_previous:
      append(with_previous(stretches), out);
      return;
    case SplitBehavior::merged_with_next:
      append(with_next(stretches), out);
      return;
    case SplitBehavior::contiguous:
      append(contiguous(stretches), out);
      return;
    case SplitBehavior::removed:
    case SplitBehavior::isolated:
      for (const Stretch& s : stretches) {
        if (s.range.begin < s.range.end && !(s.match && step.behavior == SplitBehavior::removed)) {
          out.push_back(s.range);
        }
      }
  }
}

}  // namespace lora_dist

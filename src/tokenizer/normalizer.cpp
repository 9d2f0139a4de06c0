// After the normalizers of tokenizers.
#include "src/tokenizer/normalizer.h"

#include <algorithm>

#include "src/core/utf8.h"
#include "src/tokenizer/byte_alphabet.h"
#include "src/tokenizer/overloaded.h"

namespace lora_dist {
namespace {

/// front: also replaces a match at the start.
std::string replace_matches(std::string_view text, const Regex& from, std::string_view to, bool front) {
  std::vector<Match> matches;
  find_matches(from, text, matches);
  std::string out;
  std::size_t done = 0;
  for (const Match& match : matches) {
    if (match.begin == 0 && !front) {
      continue;
    }
    out += text.substr(done, match.begin - done);
    out += to;
    done = match.end;
  }
  out += text.substr(done);
  return out;
}

std::string without_space(const StripSpaceStep& step, std::string_view text) {
  if (step.left) {
    text.remove_prefix(leading_space(text));
  }
  if (step.right) {
    text.remove_suffix(trailing_space(text));
  }
  return std::string(text);
}

void apply(const NormalizeStep& step, bool prepend, std::string& text) {
  std::visit(Overloaded{[&](const PrependStep& s) {
                          if (prepend && !text.empty()) {
                            text.insert(0, s.text);
                          }
                        },
                        [&](const ReplaceStep& s) {
                          text = s.of_front && !prepend ? replace_matches(text, std::get<Regex>(s.from), s.to, false)
                                                        : replace_all(s, text);
                        },
                        [&](const NormalFormStep& s) { text = to_normal_form(text, s.form); },
                        [&](const LowercaseStep&) { text = to_lower_case(text); },
                        [&](const StripSpaceStep& s) { text = without_space(s, text); },
                        [&](const CharsmapStep& s) { text = apply_charsmap(*s.map, text); },
                        [&](const ByteAlphabetStep&) { text = to_byte_alphabet(text); }},
             step);
}

bool cuts_front(const NormalizeStep& step, std::string_view text) {
  if (const auto* strip = std::get_if<StripSpaceStep>(&step)) {
    return strip->left && leading_space(text) > 0;
  }
  const auto* replace = std::get_if<ReplaceStep>(&step);
  if (replace == nullptr || !replace->to.empty()) {
    return false;
  }
  if (const auto* literal = std::get_if<std::string>(&replace->from)) {
    return text.starts_with(*literal);
  }
  std::vector<Match> matches;
  find_matches(std::get<Regex>(replace->from), text, matches);
  return !matches.empty() && matches[0].begin == 0 && matches[0].end > 0;
}

}  // namespace

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size() + (to.size() > from.size() ? text.size() / 2 : 0));
  std::size_t done = 0;
  if (!from.empty()) {
    for (std::size_t at = text.find(from); at != std::string_view::npos; at = text.find(from, done)) {
      out += text.substr(done, at - done);
      out += to;
      done = at + from.size();
    }
  }
  out += text.substr(done);
  return out;
}

std::string replace_all(const ReplaceStep& step, std::string_view text) {
  if (const auto* regex = std::get_if<Regex>(&step.from)) {
    return replace_matches(text, *regex, step.to, true);
  }
  return replace_all(text, std::get<std::string>(step.from), step.to);
}

std::string normalize(const std::vector<NormalizeStep>& steps, std::string_view text, bool prepend) {
  std::string out(text);
  for (const NormalizeStep& step : steps) {
    apply(step, prepend, out);
  }
  return out;
}

bool may_lose_front(const std::vector<NormalizeStep>& steps) {
  return std::any_of(steps.begin(), steps.end(), [](const NormalizeStep& step) {
    const auto* strip = std::get_if<StripSpaceStep>(&step);
    const auto* replace = std::get_if<ReplaceStep>(&step);
    return (strip != nullptr && strip->left) || (replace != nullptr && replace->to.empty());
  });
}

bool loses_front(const std::vector<NormalizeStep>& steps, std::string_view text) {
  std::string now(text);
  for (const NormalizeStep& step : steps) {
    if (cuts_front(step, now)) {
      return true;
    }
    apply(step, true, now);
  }
  return false;
}

bool is_plainly_normal(const std::vector<NormalizeStep>& steps, std::string_view text) {
  return std::all_of(steps.begin(), steps.end(), [&](const NormalizeStep& step) {
    const auto* form = std::get_if<NormalFormStep>(&step);
    return form != nullptr && form->form == NormalForm::nfc && is_plainly_nfc(text);
  });
}

}  // namespace lora_dist

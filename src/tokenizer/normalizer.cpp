// After the normalizers of tokenizers.
#include "src/tokenizer/normalizer.h"

#include <algorithm>

#include "src/tokenizer/overloaded.h"
#include "src/tokenizer/utf8.h"

namespace lora_dist {
namespace {

std::string replace_matches(std::string_view text, const Regex& from, std::string_view to) {
  std::vector<Match> matches;
  find_matches(from, text, matches);
  std::string out;
  std::size_t done = 0;
  for (const Match& match : matches) {
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
    return replace_matches(text, *regex, step.to);
  }
  return replace_all(text, std::get<std::string>(step.from), step.to);
}

std::string normalize(const std::vector<NormalizeStep>& steps, std::string_view text, bool prepend) {
  std::string out(text);
  for (const NormalizeStep& step : steps) {
    std::visit(Overloaded{[&](const PrependStep& s) {
                            if (prepend && !out.empty()) {
                              out.insert(0, s.text);
                            }
                          },
                          [&](const ReplaceStep& s) { out = replace_all(s, out); },
                          [&](const NormalFormStep& s) { out = to_normal_form(out, s.form); },
                          [&](const LowercaseStep&) { out = to_lower_case(out); },
                          [&](const StripSpaceStep& s) { out = without_space(s, out); }},
               step);
  }
  return out;
}

bool is_plainly_normal(const std::vector<NormalizeStep>& steps, std::string_view text) {
  return std::all_of(steps.begin(), steps.end(), [&](const NormalizeStep& step) {
    const auto* form = std::get_if<NormalFormStep>(&step);
    return form != nullptr && form->form == NormalForm::nfc && is_plainly_nfc(text);
  });
}

}  // namespace lora_dist

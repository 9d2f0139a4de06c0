// The steps follow tokenizers' normalizers, pre_tokenizers/metaspace.rs and decoders.
#include "src/tokenizer/text_steps.h"

#include "src/tokenizer/utf8.h"

namespace lora_dist {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

/// Cuts before every `mark`, so that each begins a piece.
void split_before(std::string_view text, std::string_view mark, std::vector<std::string>& out) {
  std::size_t begin = 0;
  for (std::size_t at = text.find(mark, 1); at != std::string_view::npos; at = text.find(mark, at + mark.size())) {
    out.emplace_back(text.substr(begin, at - begin));
    begin = at;
  }
  if (begin < text.size()) {
    out.emplace_back(text.substr(begin));
  }
}

std::string with_front(const MetaspaceStep& step, std::string_view piece, bool at_start, bool prepend) {
  std::string text = replace_all(piece, " ", step.replacement);
  const bool wanted = step.scheme == PrependScheme::always || (step.scheme == PrependScheme::first && at_start);
  if (prepend && wanted && !text.empty() && !text.starts_with(step.replacement)) {
    text.insert(0, step.replacement);
  }
  return text;
}

/// The byte that a token like <0x0A> stands for, or -1.
int byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') {
    return -1;
  }
  int value = 0;
  for (const char c : token.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) {
      return -1;
    }
    value = value * 16 + digit;
  }
  return value;
}

std::vector<std::string> fall_back(const std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  std::string bytes;
  const auto flush = [&] {
    if (is_utf8(bytes)) {
      out.push_back(bytes);
    } else {
      out.insert(out.end(), bytes.size(), std::string(kReplacementCharacter));
    }
    bytes.clear();
  };
  for (const std::string& token : tokens) {
    if (const int byte = byte_of(token); byte >= 0) {
      bytes.push_back(static_cast<char>(byte));
      continue;
    }
    if (!bytes.empty()) {
      flush();
    }
    out.push_back(token);
  }
  if (!bytes.empty()) {
    flush();
  }
  return out;
}

std::string strip(const StripStep& step, std::string_view token) {
  for (std::size_t i = 0; i < step.start && token.starts_with(step.content); ++i) {
    token.remove_prefix(step.content.size());
  }
  for (std::size_t i = 0; i < step.stop && token.ends_with(step.content); ++i) {
    token.remove_suffix(step.content.size());
  }
  return std::string(token);
}

std::string joined(const std::vector<std::string>& tokens) {
  std::string out;
  for (const std::string& token : tokens) {
    out += token;
  }
  return out;
}

}  // namespace

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
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

std::string normalize(const std::vector<NormalizeStep>& steps, std::string_view text, bool prepend) {
  std::string out(text);
  for (const NormalizeStep& step : steps) {
    std::visit(Overloaded{[&](const PrependStep& s) {
                            if (prepend && !out.empty()) {
                              out.insert(0, s.text);
                            }
                          },
                          [&](const ReplaceStep& s) { out = replace_all(out, s.from, s.to); }},
               step);
  }
  return out;
}

std::vector<std::string> pre_tokenize(const std::vector<MetaspaceStep>& steps, std::string_view part, bool at_start,
                                      bool prepend) {
  std::vector<std::string> pieces;
  if (!part.empty()) {
    pieces.emplace_back(part);
  }
  for (const MetaspaceStep& step : steps) {
    std::vector<std::string> next;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      const bool front = i == 0;
      std::string text = with_front(step, pieces[i], at_start && front, prepend || !front);
      if (step.split) {
        split_before(text, step.replacement, next);
      } else {
        next.push_back(std::move(text));
      }
    }
    pieces = std::move(next);
  }
  return pieces;
}

std::string decode_tokens(const std::vector<DecodeStep>& steps, std::vector<std::string> tokens) {
  for (const DecodeStep& step : steps) {
    std::visit(Overloaded{[&](const ReplaceStep& s) {
                            for (std::string& token : tokens) {
                              token = replace_all(token, s.from, s.to);
                            }
                          },
                          [&](const ByteFallbackStep&) { tokens = fall_back(tokens); },
                          [&](const FuseStep&) { tokens = {joined(tokens)}; },
                          [&](const StripStep& s) {
                            for (std::string& token : tokens) {
                              token = strip(s, token);
                            }
                          },
                          [&](const MetaspaceStep& s) {
                            for (std::size_t i = 0; i < tokens.size(); ++i) {
                              const bool drop = i == 0 && s.scheme != PrependScheme::never;
                              tokens[i] = replace_all(tokens[i], s.replacement, drop ? "" : " ");
                            }
                          }},
               step);
  }
  return joined(tokens);
}

}  // namespace lora_dist

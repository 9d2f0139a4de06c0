// Prints a sample as a list of its tokens, and as text.
#include "src/data/shown_sample.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace lora_dist {
namespace {

constexpr std::size_t kColumns = 100;
constexpr std::size_t kLinesOfEnd = 8;  // of a truncated sample: most answers are there

/// Bytes of a character at the start of `text` that could drive a terminal: control characters of ASCII and Latin-1, and those
/// that change the direction of text. 0 for others.
std::size_t control_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  if (byte(0) < 0x20 || byte(0) == 0x7F) {
    return 1;
  }
  if (byte(0) == 0xC2 && byte(1) >= 0x80 && byte(1) < 0xA0) {
    return 2;
  }
  const bool directs = byte(0) == 0xE2 && ((byte(1) == 0x80 && byte(2) >= 0xAA && byte(2) <= 0xAE) ||
                                           (byte(1) == 0x81 && byte(2) >= 0xA6 && byte(2) <= 0xA9));
  return directs ? 3 : 0;
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t control = control_length(text);
    for (std::size_t i = 0; i < control; ++i) {
      out += text[i] == '\n' ? "\\n" : fmt::format("\\x{:02X}", static_cast<unsigned>(static_cast<unsigned char>(text[i])));
    }
    if (control == 0) {
      out.push_back(text.front());
    }
    text.remove_prefix(control == 0 ? 1 : control);
  }
  return out;
}

bool is_trained(const Sample& sample, std::size_t i) { return i > 0 && sample.labels[i] != kNotTrained; }

/// Approximate terminal columns: characters from U+0800 on, like those of East Asian scripts, count as two.
std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    columns += (byte & 0xC0U) == 0x80 ? 0 : byte >= 0xE0 ? 2 : 1;
  }
  return columns;
}

/// Lines while they fill up, and the tokens of each.
struct Filling {
  std::vector<ShownLine> lines;
  std::vector<std::int64_t> tokens;
  std::size_t columns = 0;
  bool ended = true;  // the next text starts a line

  void add(const std::string& text, bool trained) {
    if (ended || columns + columns_of(text) > kColumns) {
      lines.emplace_back();
      tokens.push_back(0);
      columns = 0;
      ended = false;
    }
    ShownLine& line = lines.back();
    if (line.empty() || line.back().trained != trained) {
      line.push_back({"", trained});
    }
    line.back().text += text;
    columns += columns_of(text);
  }
  /// Adds a token's text; each of its line feeds ends a line.
  void add_token(std::string_view text, bool trained) {
    for (std::size_t feed = 0; (feed = text.find('\n')) != std::string_view::npos; text.remove_prefix(feed + 1)) {
      add(printable(text.substr(0, feed + 1)), trained);
      ended = true;
    }
    if (!text.empty()) {
      add(printable(text), trained);
    }
    if (!tokens.empty()) {
      ++tokens.back();
    }
  }
};

/// A run of text with its marks or colours, which end at the end of the line.
std::string render(const ShownLine& line, SetApart how) {
  std::string out;
  for (const ShownText& part : line) {
    const char* before = !part.trained ? "" : how == SetApart::by_marks ? "[[" : "\x1b[32m";
    const char* behind = !part.trained ? "" : how == SetApart::by_marks ? "]]" : "\x1b[0m";
    out += before + part.text + behind;
  }
  return out;
}

}  // namespace

std::vector<std::string> show_sample(const Sample& sample, const Tokenizer* tokenizer) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < sample.input_ids.size(); ++i) {
    const std::string token = tokenizer == nullptr ? "" : printable(token_text(*tokenizer, sample.input_ids[i]));
    lines.push_back(
        fmt::format("{:>5} {:>7}  {:<7}  {}", i, sample.input_ids[i], is_trained(sample, i) ? "trained" : "-", token));
  }
  return lines;
}

std::vector<ShownLine> show_text_of(const Sample& sample, const Tokenizer* tokenizer) {
  Filling filling;
  StreamDecoder decoder{tokenizer, false};
  bool trained = false;
  for (std::size_t i = 0; i < sample.input_ids.size(); ++i) {
    trained = is_trained(sample, i);
    const std::int32_t id = sample.input_ids[i];
    filling.add_token(tokenizer == nullptr ? (i == 0 ? "" : " ") + std::to_string(id) : push(decoder, id), trained);
  }
  if (tokenizer != nullptr) {
    if (const std::string rest = finish(decoder); !rest.empty()) {
      filling.add(printable(rest), trained);
    }
  }
  std::vector<ShownLine> lines = std::move(filling.lines);
  if (lines.size() > kShownLines) {
    const auto first = static_cast<std::ptrdiff_t>(kShownLines - kLinesOfEnd - 1);
    const auto last = static_cast<std::ptrdiff_t>(lines.size() - kLinesOfEnd);
    std::int64_t left_out = 0;
    for (auto i = first; i < last; ++i) {
      left_out += filling.tokens[static_cast<std::size_t>(i)];
    }
    lines.erase(lines.begin() + first, lines.begin() + last);
    lines.insert(lines.begin() + first,
                 {{fmt::format("... {} tokens that `lora_dist data --samples 1` shows too ...", left_out), false}});
  }
  return lines;
}

std::vector<std::string> render_shown_text(const std::vector<ShownLine>& lines, SetApart how) {
  std::vector<std::string> out = {
      fmt::format("the first training sample (trained text {}):", how == SetApart::by_marks ? "in [[ ]]" : "in green")};
  for (const ShownLine& line : lines) {
    out.push_back(render(line, how));
  }
  return out;
}

}  // namespace lora_dist

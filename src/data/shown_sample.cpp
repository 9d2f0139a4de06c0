// Prints a sample as a list of its tokens, and as text.
#include "src/data/shown_sample.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace lora_dist {
namespace {

constexpr std::size_t kColumns = 100;
constexpr std::size_t kLinesOfEnd = 8;  // of a truncated sample: most answers are there

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += c == '\n' ? "\\n" : fmt::format("\\x{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      out.push_back(c);
    }
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

// The order of the rules is Jinja's own (jinja2/lexer.py): data up to the nearest tag, then the inside of the tag.
#include "src/chat_template/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "src/chat_template/python_text.h"
#include "src/chat_template/value.h"

namespace lora_dist::jinja {
namespace {

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Normalises line ends to "\n", and removes the last one.
std::string with_plain_line_ends(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      i += i + 1 < source.size() && source[i + 1] == '\n' ? 1 : 0;
    } else {
      out += source[i];
    }
  }
  if (out.ends_with('\n')) {
    out.pop_back();
  }
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : text_(source) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) {
      read_data();
    }
    add(TokenKind::end, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw TemplateError(what, line_); }

  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  bool next_is(std::string_view what) const { return text_.substr(at_).starts_with(what); }

  void advance(std::size_t bytes) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         text_.begin() + static_cast<std::ptrdiff_t>(at_ + bytes), '\n'));
    at_ += bytes;
  }

  void skip_space() { advance(text_.substr(at_).size() - strip(text_.substr(at_), std::nullopt, true, false).size()); }

  void add_data(std::string_view data) {
    if (!data.empty()) {
      add(TokenKind::data, std::string(data));
    }
  }

  /// The text before a tag, without white space that the tag strips; `sign` is the character after {%, {# or {{.
  std::string_view cut_before(std::string_view data, char sign, bool is_print) const {
    if (sign == '-') {
      return strip(data, std::nullopt, false, true);
    }
    const std::size_t line_begin = data.rfind('\n') + 1;  // 0 on the first line
    const bool whole_line = line_begin > 0 || line_starting_;
    if (sign != '+' && !is_print && whole_line && strip(data.substr(line_begin), std::nullopt, true, false).empty()) {
      return data.substr(0, line_begin);
    }
    return data;
  }

  /// The end of a tag: strips white space after -%}, one line end after %}.
  void finish_tag(std::string_view end, bool trims_line) {
    if (next_is("-")) {
      advance(1 + end.size());
      skip_space();
    } else if (next_is("+")) {
      advance(1 + end.size());
    } else {
      advance(end.size());
      if (trims_line && next_is("\n")) {
        advance(1);
      }
    }
    line_starting_ = at_ > 0 && text_[at_ - 1] == '\n';
  }

  /// Length of "{%- raw -%}" at `from`, and of "{%- endraw %}" up to its name; 0 if absent.
  std::size_t tag_named(std::size_t from, std::string_view name) const {
    std::size_t i = from + 2;
    i += i < text_.size() && (text_[i] == '-' || text_[i] == '+') ? 1 : 0;
    while (i < text_.size() && is_blank(text_[i])) {
      ++i;
    }
    if (!text_.substr(i).starts_with(name)) {
      return 0;
    }
    i += name.size();
    while (i < text_.size() && is_blank(text_[i])) {
      ++i;
    }
    const std::string_view rest = text_.substr(i);
    return rest.starts_with("%}") || rest.starts_with("-%}") || (name == "endraw" && rest.starts_with("+%}")) ? i - from : 0;
  }

  std::size_t next_tag(std::size_t from) const {
    for (std::size_t i = text_.find('{', from); i != std::string_view::npos; i = text_.find('{', i + 1)) {
      if (i + 1 < text_.size() && (text_[i + 1] == '%' || text_[i + 1] == '{' || text_[i + 1] == '#')) {
        return i;
      }
    }
    return std::string_view::npos;
  }

  char sign_at(std::size_t at) const { return at < text_.size() ? text_[at] : ' '; }

  void read_data() {
    const std::size_t tag = next_tag(at_);
    if (tag == std::string_view::npos) {
      add_data(text_.substr(at_));
      advance(text_.size() - at_);
      return;
    }
    const char kind = text_[tag + 1];
    add_data(cut_before(text_.substr(at_, tag - at_), sign_at(tag + 2), kind == '{'));
    advance(tag - at_);
    if (kind == '#') {
      read_comment();
    } else if (const std::size_t length = kind == '%' ? tag_named(at_, "raw") : 0; length > 0) {
      read_raw(length);
    } else {
      read_tag(kind == '{');
    }
  }

  void read_comment() {
    const std::size_t begin = at_ + 2 + (sign_at(at_ + 2) == '-' || sign_at(at_ + 2) == '+' ? 1 : 0);
    const std::size_t end = text_.find("#}", begin);
    if (end == std::string_view::npos) {
      fail("Missing end of comment tag");
    }
    const bool signed_end = end > begin && (text_[end - 1] == '-' || text_[end - 1] == '+');
    advance(end - at_ - (signed_end ? 1 : 0));
    finish_tag("#}", true);
  }

  void read_raw(std::size_t length) {
    advance(length);
    finish_tag("%}", false);
    std::size_t end = text_.find("{%", at_);
    while (end != std::string_view::npos && tag_named(end, "endraw") == 0) {
      end = text_.find("{%", end + 1);
    }
    if (end == std::string_view::npos) {
      fail("Missing end of raw directive");
    }
    add_data(cut_before(text_.substr(at_, end - at_), sign_at(end + 2), false));
    advance(end - at_);
    advance(tag_named(end, "endraw"));
    finish_tag("%}", true);
  }

  void read_tag(bool is_print) {
    add(is_print ? TokenKind::print_begin : TokenKind::block_begin, "");
    advance(2);
    if (next_is("-") || next_is("+")) {
      advance(1);
    }
    const std::string_view end = is_print ? "}}" : "%}";
    std::string open;  // brackets
    for (;;) {
      while (at_ < text_.size() && is_blank(text_[at_])) {
        advance(1);
      }
      if (at_ >= text_.size()) {
        fail(is_print ? "unexpected end of template, expected 'end of print statement'"
                      : "unexpected end of template, expected 'end of statement block'");
      }
      const bool signed_end = text_.substr(at_ + 1).starts_with(end) && (text_[at_] == '-' || (!is_print && text_[at_] == '+'));
      if (open.empty() && (next_is(end) || signed_end)) {
        add(is_print ? TokenKind::print_end : TokenKind::block_end, "");
        finish_tag(end, !is_print);
        return;
      }
      read_token(open);
    }
  }

  void read_token(std::string& open) {
    const char c = text_[at_];
    if (is_name_start(c)) {
      std::size_t n = 1;
      while (at_ + n < text_.size() && (is_name_start(text_[at_ + n]) || is_digit(text_[at_ + n]))) {
        ++n;
      }
      add(TokenKind::name, std::string(text_.substr(at_, n)));
      advance(n);
    } else if (is_digit(c)) {
      read_number();
    } else if (c == '\'' || c == '"') {
      read_string(c);
    } else {
      read_operator(open);
    }
  }

  std::size_t digits_at(std::size_t from) const {
    std::size_t n = 0;
    while (from + n < text_.size() && (is_digit(text_[from + n]) || (n > 0 && text_[from + n] == '_'))) {
      ++n;
    }
    return n;
  }

  void read_number() {
    std::size_t n = digits_at(at_);
    bool real = false;
    if (at_ + n + 1 < text_.size() && text_[at_ + n] == '.' && is_digit(text_[at_ + n + 1])) {
      real = true;
      n += 1 + digits_at(at_ + n + 1);
    }
    if (at_ + n < text_.size() && (text_[at_ + n] | 32) == 'e') {
      const std::size_t sign = at_ + n + 1 < text_.size() && (text_[at_ + n + 1] == '-' || text_[at_ + n + 1] == '+') ? 1 : 0;
      if (const std::size_t more = digits_at(at_ + n + 1 + sign); more > 0) {
        real = true;
        n += 1 + sign + more;
      }
    }
    std::string digits(text_.substr(at_, n));
    std::erase(digits, '_');
    add(real ? TokenKind::real : TokenKind::integer, std::move(digits));
    advance(n);
  }

  void read_string(char quote) {
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) {
      end += text_[end] == '\\' ? 2 : 1;
    }
    if (end >= text_.size()) {
      fail(std::string("unexpected char '") + (quote == '\'' ? "\\'" : "\"") + "' (a string that never ends)");
    }
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    add(TokenKind::text, unescaped(inside));
    advance(end + 1 - at_);
  }

  /// Python's escapes; unknown ones are kept.
  std::string unescaped(std::string_view inside) const {
    constexpr std::string_view kLetters = "abfnrtv\\'\"";
    constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
    std::string out;
    for (std::size_t i = 0; i < inside.size(); ++i) {
      if (inside[i] != '\\') {
        out += inside[i];
        continue;
      }
      const char c = inside[++i];
      if (const std::size_t letter = kLetters.find(c); letter != std::string_view::npos) {
        out += kMeanings[letter];
      } else if (c == '\n') {
        // a line continuation
      } else if (c == 'x' || c == 'u' || c == 'U') {
        i += append_code(out, inside, i + 1, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16);
      } else if (c >= '0' && c <= '7') {
        std::size_t n = 1;
        while (n < 3 && i + n < inside.size() && inside[i + n] >= '0' && inside[i + n] <= '7') {
          ++n;
        }
        i += append_code(out, inside, i, n, 8) - 1;
      } else {
        out += '\\';
        out += c;
      }
    }
    return out;
  }

  std::size_t append_code(std::string& out, std::string_view inside, std::size_t from, std::size_t digits, int base) const {
    std::uint32_t code = 0;
    const std::string_view number = inside.substr(std::min(from, inside.size()), digits);
    const auto end = std::from_chars(number.data(), number.data() + number.size(), code, base);
    if (number.size() < digits || end.ptr != number.data() + number.size() || code > 0x10FFFF ||
        (code >= 0xD800 && code < 0xE000)) {
      fail("an escape in a string is no character");
    }
    out += utf8_of(static_cast<char32_t>(code));
    return digits;
  }

  void read_operator(std::string& open) {
    constexpr std::array<std::string_view, 6> kLong = {"//", "**", "==", "!=", ">=", "<="};
    constexpr std::string_view kShort = "+-*/%~<>=.,:|()[]{};";
    constexpr std::string_view kOpening = "([{";
    constexpr std::string_view kClosing = ")]}";
    const auto* const found = std::find_if(kLong.begin(), kLong.end(), [&](std::string_view op) { return next_is(op); });
    const std::size_t n = found == kLong.end() ? 1 : 2;
    const char c = text_[at_];
    if (n == 1 && kShort.find(c) == std::string_view::npos) {
      fail("unexpected char " + quoted_text(text_.substr(at_, 1)));
    }
    if (kOpening.find(c) != std::string_view::npos) {
      open += kClosing[kOpening.find(c)];
    } else if (kClosing.find(c) != std::string_view::npos) {
      if (open.empty()) {
        fail(std::string("unexpected '") + c + "'");
      }
      if (open.back() != c) {
        fail(std::string("unexpected '") + c + "', expected '" + open.back() + "'");
      }
      open.pop_back();
    }
    add(TokenKind::op, std::string(text_.substr(at_, n)));
    advance(n);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // `at_` is at the start of a line
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokens_of(std::string_view source) {
  const std::string text = with_plain_line_ends(source);
  return Lexer(text).run();
}

}  // namespace lora_dist::jinja

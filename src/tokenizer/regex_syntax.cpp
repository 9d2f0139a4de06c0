// After Oniguruma's doc/RE (Ruby syntax, UTF-8) and pcre2pattern(3).
#include "src/tokenizer/regex_syntax.h"

#include <algorithm>

#include "src/tokenizer/regex.h"

namespace lora_dist {
namespace {

// Members of a set, without brackets. PCRE2's \s also includes U+180E, its \w lacks marks and connectors, its \h has another
// meaning.
constexpr std::string_view kSpace =
    R"(\x09-\x0D\x20\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";
constexpr std::string_view kHexadecimal = "0-9a-fA-F";

struct Translation {
  std::string_view rest;  // untranslated rest
  std::string out{};
};

/// Copies through the first `end`, or everything.
void copy_through(Translation& t, char end) {
  const std::size_t count = std::min(t.rest.find(end), t.rest.size() - 1) + 1;
  t.out += t.rest.substr(0, count);
  t.rest.remove_prefix(count);
}

void copy(Translation& t, std::size_t count) {
  t.out += t.rest.substr(0, count);
  t.rest.remove_prefix(std::min(count, t.rest.size()));
}

void put(Translation& t, std::string_view text, std::size_t instead_of) {
  t.out += text;
  t.rest.remove_prefix(instead_of);
}

std::string_view members(char letter) {
  const char lower = static_cast<char>(letter | 0x20);
  return lower == 's' ? kSpace : lower == 'w' ? kWord : lower == 'h' ? kHexadecimal : std::string_view{};
}

/// Translates an escape sequence.
void translate_escape(Translation& t, bool in_set) {
  const char letter = t.rest.size() > 1 ? t.rest[1] : '\0';
  const std::string_view set = members(letter);
  const bool negated = letter >= 'A' && letter <= 'Z';
  if (!set.empty() && !in_set) {
    put(t, std::string(negated ? "[^" : "[") + std::string(set) + "]", 2);
  } else if (!set.empty() && !negated) {
    put(t, set, 2);
  } else if (letter == 'S') {
    put(t, R"(\P{White_Space})", 2);
  } else if (!set.empty()) {
    throw RegexError(std::string("has \\") + letter + " within a set, which is not supported");
  } else if (letter == 'u' && t.rest.size() >= 6) {
    put(t, "\\x{" + std::string(t.rest.substr(2, 4)) + "}", 6);
  } else if (t.rest.size() > 2 && t.rest[2] == '{' && (letter == 'p' || letter == 'P' || letter == 'x')) {
    copy_through(t, '}');
  } else {
    copy(t, 2);
  }
}

void translate_set(Translation& t) {
  copy(t, t.rest.starts_with("[^") ? 2 : 1);
  if (t.rest.starts_with("]")) {
    put(t, "\\]", 1);
  }
  while (!t.rest.empty() && t.rest[0] != ']') {
    if (t.rest[0] == '\\') {
      translate_escape(t, true);
    } else if (t.rest.starts_with("[:")) {
      copy_through(t, ']');
    } else if (t.rest[0] == '[' || t.rest.starts_with("&&")) {
      throw RegexError("combines sets ([a[b]] or [a&&b]), which is not supported");
    } else {
      copy(t, 1);
    }
  }
  copy(t, 1);
}

/// (?i), (?m-i:...): Ruby's m lets the dot match newlines, which is s in PCRE2.
void translate_group(Translation& t) {
  const std::size_t end = t.rest.find_first_not_of("imx-", 2);
  if (end == std::string_view::npos || end == 2 || (t.rest[end] != ':' && t.rest[end] != ')')) {
    copy(t, 2);
    return;
  }
  for (const char option : t.rest.substr(0, end)) {
    t.out += option == 'm' ? 's' : option;
  }
  t.rest.remove_prefix(end);
}

void translate_interval(Translation& t) {
  const std::size_t end = t.rest.find('}');
  const std::string_view inside = t.rest.substr(0, end);
  if (end == std::string_view::npos || inside.find_first_not_of("0123456789,", 1) != std::string_view::npos ||
      inside.size() < 2) {
    put(t, "\\{", 1);
    return;
  }
  if (t.rest.substr(end + 1).starts_with('+')) {
    throw RegexError("has a + after an interval, which is not supported");
  }
  put(t, inside.starts_with("{,") ? "{0" : "{", 1);
  copy_through(t, '}');
}

}  // namespace

std::string to_pcre2(std::string_view pattern) {
  Translation t{pattern};
  while (!t.rest.empty()) {
    if (t.rest[0] == '\\') {
      translate_escape(t, false);
    } else if (t.rest[0] == '[') {
      translate_set(t);
    } else if (t.rest.starts_with("(?")) {
      translate_group(t);
    } else if (t.rest[0] == '{') {
      translate_interval(t);
    } else {
      copy(t, 1);
    }
  }
  return t.out;
}

}  // namespace lora_dist

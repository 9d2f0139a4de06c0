// Character classes are those of the C library's C.UTF-8 locale (Unicode tables).
#include "src/chat_template/python_text.h"

#include <clocale>
#include <cwctype>

#include <locale.h>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace lora_dist::jinja {
namespace {

locale_t unicode() {
  static const locale_t kUnicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return kUnicode;
}

bool is_letter(char32_t c) {
  return c < 128 ? (c | 32) >= 'a' && (c | 32) <= 'z'
                 : unicode() != nullptr && iswalpha_l(static_cast<wint_t>(c), unicode()) != 0;
}
bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }

char32_t upper_letter(char32_t c) {
  if (c < 128 || unicode() == nullptr) {
    return c >= 'a' && c <= 'z' ? c - 32 : c;
  }
  return static_cast<char32_t>(towupper_l(static_cast<wint_t>(c), unicode()));
}

char32_t lower_letter(char32_t c) {
  if (c < 128 || unicode() == nullptr) {
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
  }
  return static_cast<char32_t>(towlower_l(static_cast<wint_t>(c), unicode()));
}

bool has_case(char32_t c) { return upper_letter(c) != c || lower_letter(c) != c; }

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
  } else if (c < 0x800) {
    out.push_back(static_cast<char>(0xC0 | (c >> 6)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else if (c < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | (c >> 12)));
    out.push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  } else {
    out.push_back(static_cast<char>(0xF0 | (c >> 18)));
    out.push_back(static_cast<char>(0x80 | ((c >> 12) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | ((c >> 6) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (c & 0x3F)));
  }
}

/// The length of the character at `at`; 1 for invalid UTF-8.
std::size_t width_at(std::string_view text, std::size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const std::size_t width = lead < 0x80 ? 1 : (lead >> 5) == 6 ? 2 : (lead >> 4) == 14 ? 3 : (lead >> 3) == 30 ? 4 : 1;
  if (at + width > text.size()) {
    return 1;
  }
  for (std::size_t i = 1; i < width; ++i) {
    if ((static_cast<unsigned char>(text[at + i]) >> 6) != 2) {
      return 1;
    }
  }
  return width;
}

template <class Map>
std::string mapped(std::string_view text, Map map) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t width = width_at(text, at);
    const std::string_view character = text.substr(at, width);
    const char32_t c = code_point(character);
    const char32_t to = map(c);
    if (to == c) {
      out += character;  // an invalid byte is kept
    } else {
      append_utf8(out, to);
    }
    at += width;
  }
  return out;
}

template <class Test>
bool all(std::string_view text, Test test) {
  const auto characters = characters_of(text);
  return !characters.empty() && std::all_of(characters.begin(), characters.end(),
                                            [&](std::string_view character) { return test(code_point(character)); });
}

/// White space and control characters that repr escapes.
bool is_printable(char32_t c) {
  if (c < 0x20 || (c >= 0x7F && c <= 0xA0) || c == 0xAD) {
    return false;
  }
  if (c < 0x300) {
    return true;
  }
  if (is_space(c) || (c >= 0xD800 && c <= 0xF8FF) || (c >= 0x200B && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
      (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || (c >= 0xF0000)) {
    return false;
  }
  return unicode() == nullptr || iswprint_l(static_cast<wint_t>(c), unicode()) != 0;
}

void append_hex(std::string& out, char letter, char32_t c, int digits) {
  out += '\\';
  out += letter;
  for (int i = digits - 1; i >= 0; --i) {
    out += "0123456789abcdef"[(c >> (4 * i)) & 15];
  }
}

}  // namespace

char32_t code_point(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(character[i])); };
  switch (character.size()) {
    case 2:
      return ((byte(0) & 0x1F) << 6) | (byte(1) & 0x3F);
    case 3:
      return ((byte(0) & 0x0F) << 12) | ((byte(1) & 0x3F) << 6) | (byte(2) & 0x3F);
    case 4:
      return ((byte(0) & 0x07) << 18) | ((byte(1) & 0x3F) << 12) | ((byte(2) & 0x3F) << 6) | (byte(3) & 0x3F);
    default:
      return character.empty() ? 0 : byte(0);
  }
}

std::string utf8_of(char32_t c) {
  std::string out;
  append_utf8(out, c);
  return out;
}

std::int64_t length_of(std::string_view text) {
  std::int64_t n = 0;
  for (std::size_t at = 0; at < text.size(); at += width_at(text, at)) {
    ++n;
  }
  return n;
}

std::vector<std::string_view> characters_of(std::string_view text) {
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t width = width_at(text, at);
    out.push_back(text.substr(at, width));
    at += width;
  }
  return out;
}

bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

std::string_view strip(std::string_view text, const std::optional<std::string>& chars, bool left, bool right) {
  const auto cut = [&](std::string_view character) {
    return chars ? chars->find(character) != std::string::npos : is_space(code_point(character));
  };
  while (left && !text.empty()) {
    const std::size_t width = width_at(text, 0);
    if (!cut(text.substr(0, width))) {
      break;
    }
    text.remove_prefix(width);
  }
  while (right && !text.empty()) {
    std::size_t width = 1;
    for (std::size_t w = 2; w <= 4 && w <= text.size(); ++w) {
      if (width_at(text, text.size() - w) == w) {
        width = w;
      }
    }
    if (!cut(text.substr(text.size() - width))) {
      break;
    }
    text.remove_suffix(width);
  }
  return text;
}

std::string upper(std::string_view text) {
  return mapped(text, [](char32_t c) { return upper_letter(c); });
}
std::string lower(std::string_view text) {
  return mapped(text, [](char32_t c) { return lower_letter(c); });
}
std::string title(std::string_view text) {
  bool after_letter = false;
  return mapped(text, [&](char32_t c) {
    const char32_t out = after_letter ? lower_letter(c) : upper_letter(c);
    after_letter = has_case(c);
    return out;
  });
}
std::string capitalize(std::string_view text) {
  bool first = true;
  return mapped(text, [&](char32_t c) {
    const char32_t out = first ? upper_letter(c) : lower_letter(c);
    first = false;
    return out;
  });
}

namespace {

/// Byte ranges of the words of a text.
std::vector<std::pair<std::size_t, std::size_t>> words_of(std::string_view text) {
  std::vector<std::pair<std::size_t, std::size_t>> out;
  bool in_word = false;
  std::size_t at = 0;
  for (const std::string_view character : characters_of(text)) {
    const bool space = is_space(code_point(character));
    if (!space && !in_word) {
      out.emplace_back(at, at);
    }
    in_word = !space;
    at += character.size();
    if (in_word) {
      out.back().second = at;
    }
  }
  return out;
}

std::vector<std::string_view> split_at_spaces(std::string_view text, std::int64_t most, bool from_right) {
  const auto words = words_of(text);
  const std::size_t cuts = most < 0 ? words.size() : std::min(words.size(), static_cast<std::size_t>(most));
  const bool rest = cuts < words.size();
  const std::size_t first = from_right ? words.size() - cuts : 0;
  std::vector<std::string_view> out;
  if (rest && from_right) {
    out.push_back(text.substr(0, words[first - 1].second));
  }
  for (std::size_t i = first; i < first + cuts; ++i) {
    out.push_back(text.substr(words[i].first, words[i].second - words[i].first));
  }
  if (rest && !from_right) {
    out.push_back(text.substr(words[cuts].first));
  }
  return out;
}

}  // namespace

std::vector<std::string_view> split(std::string_view text, const std::optional<std::string>& separator, std::int64_t most,
                                    bool from_right) {
  if (!separator) {
    return split_at_spaces(text, most, from_right);
  }
  std::vector<std::string_view> out;
  while (most < 0 || static_cast<std::int64_t>(out.size()) < most) {
    const std::size_t at = from_right ? text.rfind(*separator) : text.find(*separator);
    if (at == std::string_view::npos) {
      break;
    }
    const std::size_t after = at + separator->size();
    out.push_back(from_right ? text.substr(after) : text.substr(0, at));
    text = from_right ? text.substr(0, at) : text.substr(after);
  }
  out.push_back(text);
  if (from_right) {
    std::reverse(out.begin(), out.end());
  }
  return out;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> out;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t width = width_at(text, at);
    const char32_t c = code_point(text.substr(at, width));
    const bool ends = (c >= 10 && c <= 13) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
    if (ends && c == 13 && at + 1 < text.size() && text[at + 1] == '\n') {
      width = 2;
    }
    if (ends) {
      out.push_back(text.substr(begin, at - begin + (keep_ends ? width : 0)));
      begin = at + width;
    }
    at += width;
  }
  if (begin < text.size()) {
    out.push_back(text.substr(begin));
  }
  return out;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to, std::int64_t most) {
  std::string out;
  if (from.empty()) {  // inserts between all characters
    std::int64_t done = 0;
    for (const std::string_view character : characters_of(text)) {
      out += most < 0 || done < most ? to : std::string_view();
      out += character;
      ++done;
    }
    return out += most < 0 || done < most ? to : std::string_view();
  }
  for (std::int64_t done = 0; most < 0 || done < most; ++done) {
    const std::size_t at = text.find(from);
    if (at == std::string_view::npos) {
      break;
    }
    out += text.substr(0, at);
    out += to;
    text.remove_prefix(at + from.size());
  }
  return out += text;
}

std::size_t count(std::string_view text, std::string_view part) {
  if (part.empty()) {
    return static_cast<std::size_t>(length_of(text)) + 1;
  }
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) {
    ++n;
  }
  return n;
}

bool all_digits(std::string_view text) { return all(text, is_digit); }
bool all_letters(std::string_view text, bool or_digits) {
  return all(text, [&](char32_t c) { return is_letter(c) || (or_digits && is_digit(c)); });
}
bool all_spaces(std::string_view text) { return all(text, is_space); }

bool all_of_case(std::string_view text, bool upper_case) {
  bool found = false;
  for (const std::string_view character : characters_of(text)) {
    const char32_t c = code_point(character);
    if ((upper_case ? upper_letter(c) : lower_letter(c)) != c) {
      return false;
    }
    found = found || has_case(c);
  }
  return found;
}

std::string quoted_text(std::string_view text) {
  const bool single = text.find('\'') != std::string_view::npos;
  const char quote = single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (const std::string_view character : characters_of(text)) {
    const char32_t c = code_point(character);
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      out += '\\';
      out += character;
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += '\\';
      out += c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
    } else if (is_printable(c)) {
      out += character;
    } else if (c < 0x100) {
      append_hex(out, 'x', c, 2);
    } else if (c < 0x10000) {
      append_hex(out, 'u', c, 4);
    } else {
      append_hex(out, 'U', c, 8);
    }
  }
  return out += quote;
}

std::string float_text(double value) {
  if (std::isnan(value)) {
    return "nan";
  }
  if (std::isinf(value)) {
    return value < 0 ? "-inf" : "inf";
  }
  std::array<char, 64> digits{};
  const double size = std::fabs(value);
  const bool scientific = size != 0.0 && (size < 1e-4 || size >= 1e16);
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value,
                                 scientific ? std::chars_format::scientific : std::chars_format::fixed);
  std::string out(digits.data(), end.ptr);
  if (!scientific && out.find('.') == std::string::npos) {
    out += ".0";
  }
  return out;
}

}  // namespace lora_dist::jinja

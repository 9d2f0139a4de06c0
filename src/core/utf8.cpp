// UTF-8 by table 3-7 of the Unicode standard.
#include "src/core/utf8.h"

#include <cstdint>

namespace lora_dist {
namespace {

/// Length of the character that a lead byte announces and the range of the byte after it.
struct Lead {
  std::size_t length = 0;  // 0: not a lead byte
  unsigned char low = 0x80, high = 0xBF;
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) {
    return {1};
  }
  if (byte >= 0xC2 && byte <= 0xDF) {
    return {2};
  }
  if (byte >= 0xE0 && byte <= 0xEF) {  // no overlong forms, no surrogates
    return {3, static_cast<unsigned char>(byte == 0xE0 ? 0xA0 : 0x80), static_cast<unsigned char>(byte == 0xED ? 0x9F : 0xBF)};
  }
  if (byte >= 0xF0 && byte <= 0xF4) {  // no overlong forms, nothing above U+10FFFF
    return {4, static_cast<unsigned char>(byte == 0xF0 ? 0x90 : 0x80), static_cast<unsigned char>(byte == 0xF4 ? 0x8F : 0xBF)};
  }
  return {};
}

struct Scan {
  std::size_t bytes = 0;
  bool whole = false;
};

Scan scan_character(std::string_view text) {
  if (text.empty()) {
    return {};
  }
  const Lead lead = lead_of(static_cast<unsigned char>(text[0]));
  if (lead.length == 0) {
    return {1, false};
  }
  std::size_t n = 1;
  for (; n < lead.length && n < text.size(); ++n) {
    const auto byte = static_cast<unsigned char>(text[n]);
    if (byte < (n == 1 ? lead.low : 0x80) || byte > (n == 1 ? lead.high : 0xBF)) {
      break;
    }
  }
  return {n, n == lead.length};
}

bool is_white_space(std::uint32_t c) {  // PropList.txt, White_Space
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

}  // namespace

std::uint32_t code_point(std::string_view character) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(character[i])); };
  switch (character.size()) {
    case 1:
      return byte(0);
    case 2:
      return (byte(0) & 0x1F) << 6 | (byte(1) & 0x3F);
    case 3:
      return (byte(0) & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    default:
      return (byte(0) & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  }
}

std::size_t utf8_character(std::string_view text) {
  const Scan scan = scan_character(text);
  return scan.whole ? scan.bytes : 0;
}

std::size_t utf8_maximal_subpart(std::string_view text) { return scan_character(text).bytes; }

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t n = utf8_character(text);
    if (n == 0) {
      return false;
    }
    text.remove_prefix(n);
  }
  return true;
}

std::string to_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Scan scan = scan_character(text);
    out += scan.whole ? text.substr(0, scan.bytes) : kReplacementCharacter;
    text.remove_prefix(scan.bytes);
  }
  return out;
}

std::size_t leading_space(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t n = utf8_character(text.substr(at));
    if (n == 0 || !is_white_space(code_point(text.substr(at, n)))) {
      break;
    }
    at += n;
  }
  return at;
}

std::size_t trailing_space(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) {
      --begin;
    }
    const std::string_view character = text.substr(begin, end - begin);
    if (utf8_character(character) != character.size() || !is_white_space(code_point(character))) {
      break;
    }
    end = begin;
  }
  return text.size() - end;
}

}  // namespace lora_dist

// Uses utf8proc; most texts are already normalised.
#include "src/tokenizer/normal_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <new>
#include <utility>

#include "src/core/utf8.h"

namespace lora_dist {
namespace {

utf8proc_option_t options_of(NormalForm form) {
  const int base = UTF8PROC_STABLE;
  switch (form) {
    case NormalForm::nfc:
      return static_cast<utf8proc_option_t>(base | UTF8PROC_COMPOSE);
    case NormalForm::nfd:
      return static_cast<utf8proc_option_t>(base | UTF8PROC_DECOMPOSE);
    case NormalForm::nfkc:
      return static_cast<utf8proc_option_t>(base | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
    default:
      return static_cast<utf8proc_option_t>(base | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
  }
}

/// Characters of Unicode 10 to 15 with a decomposition or a combining class, and one that would compose: the tables of tokenizers
/// are those of Unicode 9, where they are unknown and stay as they are, like the starters on both sides of them.
constexpr std::pair<std::uint32_t, std::uint32_t> kNewer[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},     {0xD3B, 0xD3C},
    {0xEBA, 0xEBA},     {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},
    {0xA82C, 0xA82C},   {0xAB69, 0xAB69},   {0x10781, 0x10785}, {0x10787, 0x107B0}, {0x107B2, 0x107BA}, {0x10D24, 0x10D27},
    {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B},
    {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11930, 0x11930}, {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943},
    {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42}, {0x11D44, 0x11D45},
    {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E030, 0x1E06D}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136},
    {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9}};

bool is_newer(std::uint32_t c) {
  const auto* after = std::upper_bound(std::begin(kNewer), std::end(kNewer), c,
                                       [](std::uint32_t value, const auto& range) { return value < range.first; });
  return after != std::begin(kNewer) && c <= (after - 1)->second;
}

/// Bytes before the first of them.
std::size_t find_newer(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t n = utf8_maximal_subpart(text.substr(at));
    if (n > 1 && is_newer(code_point(text.substr(at, n)))) {
      break;
    }
    at += n;
  }
  return at;
}

/// Starters without decomposition that compose with nothing before them (NFC_Quick_Check is yes, and the combining class 0).
bool is_plain(std::uint32_t c) {
  return c < 0x300 || (c >= 0x2002 && c < 0x20D0) || (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xAC00 && c <= 0xD7A3);
}

}  // namespace

bool is_plainly_nfc(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    if (static_cast<unsigned char>(text[at]) < 0xCC) {  // lead and continuation bytes of characters below U+0300
      ++at;
      continue;
    }
    const std::size_t n = utf8_maximal_subpart(text.substr(at));
    if (!is_plain(code_point(text.substr(at, n)))) {
      return false;
    }
    at += n;
  }
  return true;
}

namespace {

std::string known_to_normal_form(std::string_view text, NormalForm form) {
  if (text.empty()) {
    return {};
  }
  utf8proc_uint8_t* made = nullptr;
  const utf8proc_ssize_t bytes = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                              static_cast<utf8proc_ssize_t>(text.size()), &made, options_of(form));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(made, &std::free);
  if (bytes < 0) {
    throw std::bad_alloc();  // the text is valid UTF-8, so only allocation can fail
  }
  return {reinterpret_cast<const char*>(made), static_cast<std::size_t>(bytes)};
}

}  // namespace

std::string to_normal_form(std::string_view text, NormalForm form) {
  if (form == NormalForm::nfc && is_plainly_nfc(text)) {
    return std::string(text);
  }
  std::string out;
  for (;;) {
    const std::size_t known = find_newer(text);
    out += known_to_normal_form(text.substr(0, known), form);
    text.remove_prefix(known);
    if (text.empty()) {
      return out;
    }
    const std::size_t newer = utf8_maximal_subpart(text);
    out += text.substr(0, newer);
    text.remove_prefix(newer);
  }
}

std::string to_lower_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t n = utf8_maximal_subpart(text);
    const std::uint32_t c = code_point(text.substr(0, n));
    if (c == 0x130) {  // the only character with a lower case of two characters
      out += "i\xCC\x87";
    } else {
      utf8proc_uint8_t bytes[4];
      const auto length = utf8proc_encode_char(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)), bytes);
      out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length));
    }
    text.remove_prefix(n);
  }
  return out;
}

}  // namespace lora_dist

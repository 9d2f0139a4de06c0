// Uses utf8proc; most texts are already normalised.
#include "src/tokenizer/normal_form.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>
#include <new>

#include "src/tokenizer/utf8.h"

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

std::string to_normal_form(std::string_view text, NormalForm form) {
  if (text.empty() || (form == NormalForm::nfc && is_plainly_nfc(text))) {
    return std::string(text);
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

// Annex C of Unicode Technical Standard 18 (word), by the categories of utf8proc.
#include "src/tokenizer/word_character.h"

#include <utf8proc.h>

#include <cstdint>

#include "src/core/utf8.h"

namespace lora_dist {
namespace {

bool is_word(std::uint32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:  // joiners, and symbols that are alphabetic: letters in circles and squares
      return c == 0x200C || c == 0x200D || (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
             (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
  }
}

}  // namespace

bool starts_with_word(std::string_view text) {
  return !text.empty() && is_word(code_point(text.substr(0, utf8_maximal_subpart(text))));
}

bool ends_with_word(std::string_view text) {
  if (text.empty()) {
    return false;
  }
  std::size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) {
    --begin;
  }
  return is_word(code_point(text.substr(begin)));
}

}  // namespace lora_dist

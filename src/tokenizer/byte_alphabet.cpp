// The characters of bytes_to_unicode in GPT-2's encoder.py: printable Latin-1 bytes map to themselves, the others, in order, to
// U+0100 and up.
#include "src/tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

#include "src/core/utf8.h"

namespace lora_dist {
namespace {

struct Alphabet {
  std::array<std::uint16_t, 256> character{};  // code point of a byte, below 0x144
  std::array<std::int16_t, 0x144> byte{};      // byte of a code point, or -1
};

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr Alphabet make_alphabet() {
  Alphabet out;
  out.byte.fill(-1);
  std::uint16_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const auto at = static_cast<std::size_t>(byte);
    out.character[at] = stands_for_itself(byte) ? static_cast<std::uint16_t>(byte) : next++;
    out.byte[out.character[at]] = static_cast<std::int16_t>(byte);
  }
  return out;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::string to_byte_alphabet(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const unsigned code = kAlphabet.character[static_cast<unsigned char>(c)];
    if (code < 0x80) {
      out.push_back(static_cast<char>(code));
    } else {
      out.push_back(static_cast<char>(0xC0 | code >> 6));
      out.push_back(static_cast<char>(0x80 | (code & 0x3F)));
    }
  }
  return out;
}

std::string from_byte_alphabet(std::string_view token) {
  std::string out;
  for (std::string_view rest = token; !rest.empty();) {
    const std::string_view character = rest.substr(0, utf8_maximal_subpart(rest));
    const std::uint32_t code = code_point(character);
    if (code >= kAlphabet.byte.size() || kAlphabet.byte[code] < 0) {
      return std::string(token);
    }
    out.push_back(static_cast<char>(kAlphabet.byte[code]));
    rest.remove_prefix(character.size());
  }
  return out;
}

}  // namespace lora_dist

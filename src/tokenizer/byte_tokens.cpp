// The names are those of sentencepiece, with capital digits.
#include "src/tokenizer/byte_tokens.h"

#include <cstddef>

namespace lora_dist {

bool append_byte_tokens(const TokenTable& vocab, std::string_view bytes, std::vector<std::int32_t>& out) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  const std::size_t before = out.size();
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    const char name[] = {'<', '0', 'x', kDigits[byte >> 4], kDigits[byte & 15], '>'};
    const auto id = vocab.id_of(std::string_view(name, sizeof name));
    if (!id) {
      out.resize(before);
      return false;
    }
    out.push_back(*id);
  }
  return true;
}

}  // namespace lora_dist

// sentencepiece's table of characters and their replacements (precompiled_charsmap), as the normalizer Precompiled of Hugging
// Face's tokenizers applies it: to grapheme clusters of fewer than six bytes, then to characters.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace lora_dist {

class CharsmapError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A double array (Darts) whose values are offsets into texts that each end in a zero byte.
struct Charsmap {
  std::vector<std::uint32_t> units;
  std::string texts;
  std::array<bool, 128> changes_ascii{};  // characters of one byte with a replacement
};

/// Reads the table and checks every unit that a text can reach. Throws CharsmapError saying what is wrong ("is cut short").
std::shared_ptr<const Charsmap> read_charsmap(std::string_view bytes);

/// The bytes of a text in base64, with padding. Throws CharsmapError.
std::string from_base64(std::string_view text);

/// The replacement of the shortest entry that begins `chunk`.
std::optional<std::string_view> replacement(const Charsmap& map, std::string_view chunk);

/// `text` must be UTF-8.
std::string apply_charsmap(const Charsmap& map, std::string_view text);

}  // namespace lora_dist

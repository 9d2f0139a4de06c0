// Unicode's normal forms.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lora_dist {

enum class NormalForm : std::uint8_t { nfc, nfd, nfkc, nfkd };

/// `text` must be UTF-8.
std::string to_normal_form(std::string_view text, NormalForm form);

/// A quick check: true if all characters are in ranges that NFC never changes (ASCII, Hangul syllables, Chinese characters, ...).
/// False is inconclusive.
bool is_plainly_nfc(std::string_view text);

/// Lower-cases each character on its own, like Rust's char::to_lowercase.
std::string to_lower_case(std::string_view text);

}  // namespace lora_dist

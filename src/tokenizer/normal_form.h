// Unicode's normal forms.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lora_dist {

enum class NormalForm : std::uint8_t { nfc, nfd, nfkc, nfkd };

/// `text` must be UTF-8.
std::string to_normal_form(std::string_view text, NormalForm form);

/// True when every character is of ranges that NFC leaves alone whatever stands beside them (ASCII, Hangul syllables, Chinese
/// characters, ...): a quick no to most work. False says nothing.
bool is_plainly_nfc(std::string_view text);

/// Each character in lower case by itself, as Rust's char::to_lowercase.
std::string to_lower_case(std::string_view text);

}  // namespace lora_dist

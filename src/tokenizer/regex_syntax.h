// Translates Oniguruma's regular expressions to PCRE2's.
#pragma once

#include <string>
#include <string_view>

namespace lora_dist {

/// The equivalent pattern for PCRE2 with UTF, UCP and MULTILINE. Classes of white space, words and hexadecimal digits differ and
/// are written out. Throws RegexError for syntax with different meanings that no tokenizer uses (&& and nested sets).
std::string to_pcre2(std::string_view pattern);

}  // namespace lora_dist

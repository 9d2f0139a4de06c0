// From Oniguruma's regular expressions to PCRE2's.
#pragma once

#include <string>
#include <string_view>

namespace lora_dist {

/// The same pattern for PCRE2 with UTF, UCP and MULTILINE. White space, words and hexadecimal digits are other sets there, so
/// they are written out. Throws RegexError for syntax that both have with different meanings and no tokenizer uses (&& and sets
/// within sets).
std::string to_pcre2(std::string_view pattern);

}  // namespace lora_dist

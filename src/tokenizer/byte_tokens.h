// Tokens that stand for one byte each ("<0x41>"), for characters that a vocabulary lacks.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "src/tokenizer/token_table.h"

namespace lora_dist {

/// Appends the ids of the bytes; false, and nothing appended, if the vocabulary lacks one of them.
bool append_byte_tokens(const TokenTable& vocab, std::string_view bytes, std::vector<std::int32_t>& out);

}  // namespace lora_dist

// One sample laid open, so that a wrong template or mask is seen before it is trained.
#pragma once

#include <string>
#include <vector>

#include "src/data/sample.h"
#include "src/tokenizer/tokenizer.h"

namespace lora_dist {

/// A line per token: position, id, token, and "trained" or "-" as the loss sees it (at most 160 tokens, then how many more).
/// tokenizer may be null: ids alone.
std::vector<std::string> show_sample(const Sample& sample, const Tokenizer* tokenizer);

}  // namespace lora_dist

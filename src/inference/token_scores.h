// Log-probabilities of the tokens of one sequence.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/transformer/transformer.h"

namespace lora_dist {

struct TokenScores {
  std::vector<float> log_prob;       // of the target after each token
  std::vector<std::int32_t> argmax;  // after each token
};

/// targets[i]: the id whose probability after token i is computed; the adapter's virtual tokens come before the first one. Every
/// rank that holds slices of the model must call this or serve_token_scores equally often.
TokenScores score_ids(const ForwardContext& model, std::span<const std::int32_t> ids, std::span<const std::int32_t> targets);

/// For a rank without a sequence: takes part in the gathers of the other ranks.
void serve_token_scores(const ForwardContext& model);

/// The next-token targets: list[1:] followed by -100.
std::vector<std::int32_t> shifted(const std::vector<std::int32_t>& list);

}  // namespace lora_dist

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

/// targets[i]: the id whose probability after token i is asked for. Every rank of the model's shards must call it, or
/// serve_token_scores, equally often.
TokenScores score_ids(const ForwardContext& model, std::span<const std::int32_t> ids, std::span<const std::int32_t> targets);

/// A rank without a sequence of its own: it serves the others' gathers.
void serve_token_scores(const ForwardContext& model);

/// list[1:] with a last -100: what should follow each token.
std::vector<std::int32_t> shifted(const std::vector<std::int32_t>& list);

}  // namespace lora_dist

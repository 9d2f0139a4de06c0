// Text generation, one token at a time over a key-value cache.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "src/comm/communicator.h"
#include "src/transformer/transformer.h"

namespace lora_dist {

/// How the next token is chosen. Greedy by default.
struct SamplingOptions {
  std::int64_t max_new_tokens = 128;
  double temperature = 0.0;  // 0: the most probable token
  double top_p = 1.0;        // the smallest set of tokens whose probabilities reach this; 1: all
  int top_k = 0;             // only the k most probable; 0: all
  /// Logits of tokens that the prompt or the text so far holds are divided by it, where they are negative multiplied; 1: off. As
  /// transformers' RepetitionPenaltyLogitsProcessor.
  double repetition_penalty = 1.0;
  std::uint64_t seed = 0;
};

/// The next id. logits: [vocab]. Among equals the lowest id. A random choice depends on (seed, position) alone.
std::int32_t choose_token(std::span<const float> logits, const SamplingOptions& options, std::int64_t position);

/// Continues `prompt` until one of `stop_ids` (not returned), max_new_tokens, or a full cache. Collective over `comm`: every rank
/// runs the same tokens (each serves its slices of the base); rank 0's choice and its stop_ids are everybody's. `on_token` is
/// called with each new id. `cache` is emptied first. Throws Error(non_finite) when the logits are not finite.
std::vector<std::int32_t> generate(const ForwardContext& model, std::span<const std::int32_t> prompt, KvCache& cache,
                                   const SamplingOptions& options, std::span<const std::int64_t> stop_ids, Communicator& comm,
                                   const std::function<void(std::int32_t)>& on_token = {});

}  // namespace lora_dist

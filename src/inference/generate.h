// Text generation, one token at a time over a key-value cache.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "src/comm/communicator.h"
#include "src/transformer/transformer.h"

namespace lora_dist {

/// Sampling parameters. Greedy by default.
struct SamplingOptions {
  std::int64_t max_new_tokens = 128;
  double temperature = 0.0;  // 0: the most probable token
  double top_p = 1.0;        // the smallest set of tokens whose probabilities reach this; 1: all
  int top_k = 0;             // only the k most probable; 0: all
  /// Divides positive logits, and multiplies negative logits, of tokens in the prompt or text so far; 1: off. As transformers'
  /// RepetitionPenaltyLogitsProcessor.
  double repetition_penalty = 1.0;
  std::uint64_t seed = 0;
};

/// The next id. logits: [vocab]. Among equals the lowest id. A random choice depends on (seed, position) alone.
std::int32_t choose_token(std::span<const float> logits, const SamplingOptions& options, std::int64_t position);

/// Continues `prompt` until one of `stop_ids` (not returned), max_new_tokens, or a full cache. Collective over `comm`: every rank
/// computes the same tokens, since each holds slices of the base; rank 0's choices and stop_ids count. Calls `on_token` with each
/// new id. Clears `cache` first. Throws Error(non_finite) if the logits are not finite.
std::vector<std::int32_t> generate(const ForwardContext& model, std::span<const std::int32_t> prompt, KvCache& cache,
                                   const SamplingOptions& options, std::span<const std::int64_t> stop_ids, Communicator& comm,
                                   const std::function<void(std::int32_t)>& on_token = {});

}  // namespace lora_dist

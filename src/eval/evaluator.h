// Evaluation: micro-batches are dealt to ranks in advance; rank 0 collects the losses and scores.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "src/comm/communicator.h"
#include "src/data/packing.h"
#include "src/data/sample.h"
#include "src/transformer/transformer.h"

namespace lora_dist {

struct Evaluation {
  double loss = 0.0;        // mean over target tokens
  double perplexity = 0.0;  // exp(loss)
  std::int64_t samples = 0;
  std::int64_t target_tokens = 0;
  double seconds = 0.0;
};

/// Collective over `data`; the result is the same on every rank and, to the bit, for every number of ranks. `sequences` are
/// divided into micro-batches of `micro_batch`. Calls `on_progress(done, all)`, in micro-batches, after each round. Throws
/// Error(non_finite) when the loss is not finite.
Evaluation evaluate(const ForwardContext& model, Communicator& data, std::span<const Sequence> sequences,
                    std::span<const Sample> samples, std::int64_t micro_batch,
                    const std::function<void(std::int64_t, std::int64_t)>& on_progress = {});

}  // namespace lora_dist

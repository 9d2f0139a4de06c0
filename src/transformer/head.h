// What comes after the last block: final norm, logits in chunks of tokens and of the vocabulary, losses and log-probabilities.
// All read the hidden states that the blocks left in the workspace, and serve the gathers of the head.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/transformer/objective.h"
#include "src/transformer/transformer.h"

namespace lora_dist {

/// The sum of token losses of each micro-batch; 0 of one without tokens. Ranks that share or divide the vocabulary do it
/// together.
std::vector<double> head_loss(const ForwardContext& model, std::span<const MicroBatch> batches);

/// Values of an objective that a device may not have computed yet.
struct PendingLosses {
  std::vector<std::int64_t> counts;  // of each micro-batch: its token losses
  std::vector<double> values;        // where the objective needed the losses; else empty
};
/// The same with the gradient of objective.scale * the objective in each micro-batch's hidden_gradient.
PendingLosses head_loss_and_gradient(const ForwardContext& model, std::span<const MicroBatch> batches,
                                     const Objective& objective);
/// Waits for the values, of each micro-batch.
std::vector<double> wait_for(const ForwardContext& model, const PendingLosses& losses);

/// forward_log_probs after the blocks, of a head that nobody divides.
void head_log_probs(const ForwardContext& model, const MicroBatch& batch, std::span<float> log_prob,
                    std::span<std::int32_t> argmax);

/// Logits after the last of `tokens` tokens: [vocab] of the whole model.
std::vector<float> head_next(const ForwardContext& model, std::int64_t tokens);

}  // namespace lora_dist

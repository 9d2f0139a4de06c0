// After the last block: final norm, logits in chunks of tokens and of the vocabulary, losses and log-probabilities.
// All functions read the last block's hidden states in the workspace, and join the gathers of the head.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/transformer/objective.h"
#include "src/transformer/transformer.h"

namespace lora_dist {

/// The sum of token losses per micro-batch; 0 without tokens. Collective over the ranks that share or divide the vocabulary.
std::vector<double> head_loss(const ForwardContext& model, std::span<const MicroBatch> batches);

/// Values of an objective that a device may still be computing.
struct PendingLosses {
  std::vector<std::int64_t> counts;  // per micro-batch: its token losses
  std::vector<double> values;        // if the objective needed the losses; else empty
};
/// The same, with the gradient of objective.scale * the objective in each micro-batch's hidden_gradient; adds that of a trained
/// last norm to grads[i].
PendingLosses head_loss_and_gradient(const ForwardContext& model, std::span<const MicroBatch> batches, const Objective& objective,
                                     std::span<const std::span<float>> grads);
/// Waits for the values, one per micro-batch.
std::vector<double> wait_for(const ForwardContext& model, const PendingLosses& losses);

/// forward_log_probs after the blocks, for a head that no ranks divide.
void head_log_probs(const ForwardContext& model, const MicroBatch& batch, std::span<float> log_prob,
                    std::span<std::int32_t> argmax);

/// logits = normed head^T, scaled and capped as the model says. normed: [rows, hidden]; head: [ids, hidden], the base's rows
/// from `first_id` on, in place of which trained ones are read; logits: f32 [rows, ids].
void logits_of(const ForwardContext& model, ConstTensorView normed, std::int64_t first_id, ConstTensorView head,
               TensorView logits);

/// Logits after the last of `tokens` tokens: [vocab] of the whole model.
std::vector<float> head_next(const ForwardContext& model, std::int64_t tokens);

}  // namespace lora_dist

// What comes after the last block: final norm, logits in chunks of tokens and of the vocabulary, losses and log-probabilities.
// All read the hidden states that the blocks left in the workspace, and serve the gathers of the head.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/transformer/transformer.h"

namespace lora_dist {

/// Losses of the tokens that have a target in workspace.token_loss, and the gradient of loss_scale * their sum in
/// workspace.gradients.hidden when `backward`. Returns how many tokens have one; of a pass without tokens 0. Ranks that share
/// or divide the vocabulary do it together.
std::int64_t head_and_loss(const Transformer& model, const Pass& pass, float loss_scale, bool backward);
/// Waits for that many losses and adds them in double, in the order of the tokens.
double sum_of_losses(const Transformer& model, std::int64_t count);

/// forward_log_probs after the blocks, of a head that nobody divides.
void head_log_probs(const Transformer& model, const Pass& pass, std::span<float> log_prob, std::span<std::int32_t> argmax);

/// Logits after the last of `tokens` tokens: [vocab] of the whole model.
std::vector<float> head_next(const Transformer& model, std::int64_t tokens);

}  // namespace lora_dist

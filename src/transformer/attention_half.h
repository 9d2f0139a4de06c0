// The first half of a block: norm, q k v, rotation, attention, output projection, residual; and its gradients.
#pragma once

#include "src/transformer/block.h"

namespace lora_dist {

/// Reads hidden, fills `kept` up to kept.middle, the hidden state after attention.
void attention_forward(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept);
/// For recompute = selective: the norm before the products again.
void attention_recompute_cheap(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden,
                               const BlockActivations& kept);

/// From gradients.hidden (of kept.middle, unchanged) to gradients.attended.
void attention_out_backward(const BlockInputs& block, const LoraPass& pass, const BlockActivations& kept,
                            const BlockGradients& gradients);
/// From gradients.attended to the factors of q, k and v and, with `input_gradient`, added to gradients.hidden.
void attention_in_backward(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept,
                           const BlockGradients& gradients, bool input_gradient);

}  // namespace lora_dist

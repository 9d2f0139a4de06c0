// The order of a block's halves: forward, recomputation, backward.
#include "src/transformer/block.h"

#include "src/transformer/attention_half.h"
#include "src/transformer/mlp_half.h"

namespace lora_dist {

void block_forward(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept,
                   TensorView out) {
  attention_forward(block, pass, hidden, kept);
  mlp_forward_to_activated(block, pass, hidden, kept);
  mlp_out_forward(block, pass, kept, out);
}

void block_recompute(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept) {
  attention_forward(block, pass, hidden, kept);
  mlp_forward_to_activated(block, pass, hidden, kept);
  mlp_out_recompute(block, pass, kept);
}

void block_recompute_cheap(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept) {
  attention_recompute_cheap(block, pass, hidden, kept);
  mlp_recompute_cheap(block, pass, hidden, kept);
}

void block_backward(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept,
                    const BlockGradients& gradients, bool input_gradient) {
  if (block.spec->parallel_residual) {  // attention sees the gradient of the output before the MLP adds its share
    attention_out_backward(block, pass, kept, gradients);
    mlp_backward(block, pass, hidden, kept, gradients, input_gradient);
  } else {
    mlp_backward(block, pass, hidden, kept, gradients, true);
    attention_out_backward(block, pass, kept, gradients);
  }
  attention_in_backward(block, pass, hidden, kept, gradients, input_gradient);
}

}  // namespace lora_dist

// The stages of a block in order, forward and backward:
//   attention  1 norm   2 q k v   3 norm of heads   4 rotation   5 attention   6 o, residual
//   MLP        7 norm   8 gate up   9 activation   10 down, residual
// If a norm follows a sublayer, stage 6 or 10 norms the sublayer's output before the residual; without a norm before it, 1 or 7
// passes the input on.
// With a parallel residual both sublayers read the block's input.
#include "src/transformer/block.h"

#include "src/transformer/attention_sublayer.h"
#include "src/transformer/mlp_sublayer.h"

namespace lora_dist {

namespace {

/// Stages 1 to 9.
void forward_to_activated(const BlockContext& block) {
  const Sublayer attention = attention_sublayer(block);
  project_qkv(block, sublayer_input(block, attention));  // 1, 2
  norm_heads(block);                                     // 3
  rotate(block);                                         // 4
  attend(block);                                         // 5
  sublayer_output(block, attention);                     // 6
  const Sublayer mlp = mlp_sublayer(block);
  project_gate_up(block, sublayer_input(block, mlp));  // 7, 8
  activate_mlp(block);                                 // 9
}

void attention_output_backward(const BlockContext& block) {
  sublayer_output_backward(block, attention_sublayer(block));  // 6
}

void attention_input_backward(const BlockContext& block, bool input_gradient) {
  const Sublayer attention = attention_sublayer(block);
  attend_backward(block);      // 5
  rotate_backward(block);      // 4
  norm_heads_backward(block);  // 3
  InputGradients input = begin_input_backward(block, attention, input_gradient);
  project_qkv_backward(block, input);                         // 2
  sublayer_input_backward(block, attention, input_gradient);  // 1
}

void mlp_backward(const BlockContext& block, bool input_gradient) {
  const Sublayer mlp = mlp_sublayer(block);
  sublayer_output_backward(block, mlp);  // 10
  activate_mlp_backward(block);          // 9
  InputGradients input = begin_input_backward(block, mlp, input_gradient);
  project_gate_up_backward(block, input);               // 8
  sublayer_input_backward(block, mlp, input_gradient);  // 7
}

}  // namespace

void block_forward(const BlockContext& block) {
  forward_to_activated(block);                  // 1 to 9
  sublayer_output(block, mlp_sublayer(block));  // 10
}

void block_recompute(const BlockContext& block) {
  forward_to_activated(block);                    // 1 to 9
  save_output_again(block, mlp_sublayer(block));  // what backward needs of 10
}

void block_recompute_cheap(const BlockContext& block) {
  sublayer_input(block, attention_sublayer(block));  // 1
  sublayer_input(block, mlp_sublayer(block));        // 7
  activate_mlp(block);                               // 9
}

void block_backward(const BlockContext& block, bool input_gradient) {
  if (block.spec().parallel_residual) {  // attention reads the output's gradient before the MLP adds its part
    attention_output_backward(block);
    mlp_backward(block, input_gradient);
  } else {
    mlp_backward(block, true);
    attention_output_backward(block);
  }
  attention_input_backward(block, input_gradient);
}

}  // namespace lora_dist

// One transformer block: its two halves are flat lists of operator calls, forward and backward side by side.
#pragma once

#include <cstdint>

#include "kernels/attention/attention.h"
#include "src/base/weight_window.h"
#include "src/transformer/activations.h"
#include "src/transformer/lora_linear.h"

namespace lora_dist {

/// What a block reads besides its activations.
struct BlockInputs {
  const ModelSpec* spec = nullptr;
  const BlockRest* rest = nullptr;
  const AdapterLayout* layout = nullptr;
  BlockWeights weights;
  std::int64_t layer = 0;
  ConstTensorView starts;      // i32 [segments + 1]
  int longest = 0;             // tokens of the longest segment
  ConstTensorView rope_table;  // f32 [positions, rotary width]
  KvCache* cache = nullptr;    // one sequence being generated: keys and values are appended, and attended to whole
  ConstTensorView key_starts;  // i32 [2]: 0 and the cache's length after this call; only with a cache
};

/// Reads hidden: f32 [tokens, hidden], fills `kept`, writes out: f32 [tokens, hidden] (out may not be hidden).
void block_forward(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept,
                   TensorView out);
/// The same without the output: fills `kept` again for backward.
void block_recompute(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept);
/// For recompute = selective: norms and activations again, from what the products left in `kept`. No product runs.
void block_recompute_cheap(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept);
/// gradients.hidden holds the gradient of the block's output and becomes that of its input (unless `input_gradient` is false:
/// nothing below the first block is trained). Writes the gradients of the block's factors.
void block_backward(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept,
                    const BlockGradients& gradients, bool input_gradient);

}  // namespace lora_dist

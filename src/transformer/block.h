// One transformer block, stage by stage: forward, recomputation, backward.
#pragma once

#include <cstdint>

#include "src/adapter/linear_hooks.h"
#include "src/base/weight_window.h"
#include "src/transformer/device_micro_batch.h"
#include "src/transformer/forward_context.h"
#include "src/transformer/tensor_parallel.h"

namespace lora_dist {

/// One micro-batch in one block, while the block's weights are in the window.
struct BlockContext {
  const ForwardContext& model;
  const DeviceMicroBatch& batch;
  const LinearContext& linears;
  const TensorParallel& tp;
  const MicroBatchBuffers& buffers;
  std::int64_t layer = 0;
  BlockWeights weights;
  std::size_t micro_batch = 0;  // among those in flight

  const ModelSpec& spec() const { return model.base->spec; }
  const BlockRest& rest() const { return model.base->rest[static_cast<std::size_t>(layer)]; }
  const Stream& stream() const { return model.stream; }
  /// [shard, hidden]: the block's input.
  TensorView hidden() const { return buffers.entering(layer).rows(tp.shard_tokens()); }
  const SavedActivations& saved() const { return buffers.saved_of(layer); }
  const BlockGradients& gradients() const { return model.workspace->gradients; }
  /// [shard, hidden]: gradient of the block's output, then of its input.
  TensorView hidden_gradient() const { return buffers.hidden_gradient.rows(tp.shard_tokens()); }
};

/// Reads hidden(), fills saved(), writes the next block's input.
void block_forward(const BlockContext& block);
/// The same without the output: fills saved() again for backward.
void block_recompute(const BlockContext& block);
/// For recompute = selective: recomputes norms and activations from the products' results in saved(). Runs no product.
void block_recompute_cheap(const BlockContext& block);
/// Turns hidden_gradient() into the gradient of the block's input (unless `input_gradient` is false: no block below is trained).
/// Writes the gradients of the block's adapter parameters.
void block_backward(const BlockContext& block, bool input_gradient);

}  // namespace lora_dist

// The operator calls of a bottleneck adapter on the rows of a micro-batch, forward and backward.
#pragma once

#include "src/adapter/bottleneck.h"
#include "src/transformer/block.h"

namespace lora_dist {

/// A sublayer's bottleneck with its saved activations of this rank's shard.
struct SublayerBottleneck {
  const Bottleneck* weights = nullptr;  // null: none
  BottleneckBuffers saved;

  bool exists() const { return weights != nullptr; }
};
SublayerBottleneck sublayer_bottleneck(const BlockContext& block, BottleneckSite site, const BottleneckBuffers& saved);

/// Saves z = down x + down_bias of the input x: [shard, hidden], and x itself in training unless it is kept elsewhere.
void save_bottleneck_input(const BlockContext& block, const SublayerBottleneck& of, ConstTensorView x, bool keep);
/// y += delta(x), from the saved z. y: [shard, hidden], may be x.
void add_bottleneck(const BlockContext& block, const SublayerBottleneck& of, TensorView y);

/// From dy, the gradient of delta's output, the gradients of the parameters and of z (kept for add_bottleneck_gradient). x:
/// delta's input.
void bottleneck_backward(const BlockContext& block, const SublayerBottleneck& of, ConstTensorView dy, ConstTensorView x);
/// dx += the gradient of delta's input.
void add_bottleneck_gradient(const BlockContext& block, const SublayerBottleneck& of, TensorView dx);

}  // namespace lora_dist

// Virtual tokens in the walk over the blocks: their trained input, or their trained keys and values, and the gradients.
#pragma once

#include "src/transformer/block.h"

namespace lora_dist {

/// True if the first block's input is trained.
bool trains_input(const AdapterLayout& layout);

/// Writes the trained input of virtual tokens to their rows of the first block's input. hidden: [shard, hidden]
void put_virtual_input(const ForwardContext& model, const DeviceMicroBatch& batch, const TensorParallel& tp, TensorView hidden);
/// From the gradient of the first block's input, block.hidden_gradient(), to the gradient of the virtual tokens: this rank's
/// share of it.
void take_virtual_input(const BlockContext& block);

/// Writes the trained keys and values of virtual tokens to their rows of k and v, [tokens, kv_heads * head_dim]: neither normed
/// nor rotated, as in PEFT. What the block computes for those rows otherwise reaches nothing: they have no target, and other rows
/// read only their keys and values.
void put_virtual_keys(const BlockContext& block, TensorView k, TensorView v);
/// The gradients of those rows of dk and dv become that of the virtual tokens, and zero.
void take_virtual_keys(const BlockContext& block, TensorView dk, TensorView dv);

}  // namespace lora_dist

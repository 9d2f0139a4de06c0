// The embedding and the head in forward and backward where their rows are trained.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/transformer/block_linear.h"
#include "src/transformer/device_micro_batch.h"
#include "src/transformer/forward_context.h"

namespace lora_dist {

/// True if rows of the embedding are trained.
bool trains_embedding(const AdapterLayout& layout);
/// True if some rows of it are.
bool trains_token_rows(const AdapterLayout& layout);
/// Per token its number among the embedding's trained rows; -1 if its row is not trained, or another TP rank's.
std::vector<std::int32_t> token_rows_of(const ForwardContext& model, const MicroBatch& batch);

/// Looks up this rank's rows of a wholly trained embedding; rows of other tokens stay as they are. hidden: [tokens, hidden].
void put_trained_embedding(const ForwardContext& model, const DeviceMicroBatch& batch, TensorView hidden);
/// Replaces the rows of trained tokens.
void put_token_rows(const ForwardContext& model, const DeviceMicroBatch& batch, TensorView hidden);
/// Adds the gradient of the embedding's trained rows, from that of the first block's input.
void take_trained_embedding(const BlockContext& block);

/// A chunk of the head for logits: trained rows in the compute dtype, else the base's. `first_id`: of the chunk.
ConstTensorView head_rows(const ForwardContext& model, std::int64_t first_id, ConstTensorView of_base);
/// Replaces the logits of trained tokens, before any cap. `first_id`: of the chunk. normed: [tokens, hidden]; logits: f32
/// [tokens, ids].
void put_token_logits(const ForwardContext& model, std::int64_t first_id, ConstTensorView normed, TensorView logits);

/// What the head has of some tokens and a chunk of the vocabulary in backward.
struct HeadRows {
  std::int64_t first_id = 0;  // of the chunk
  TensorView dlogits;         // [tokens, ids] in the compute dtype
  ConstTensorView normed;     // [tokens, hidden] in the compute dtype, not yet overwritten by its gradient
};
/// rows += logits_scale * dlogits^T normed: the gradient of rows of the head. rows: f32 [ids, hidden].
void head_gradient(const ForwardContext& model, ConstTensorView dlogits, ConstTensorView normed, TensorView rows);
/// Adds it to `grads`, the flat buffer, if the head is trained. Takes the gradient of trained tokens out of the chunk's, so that
/// it does not reach the base's rows.
void add_head_gradient(const ForwardContext& model, const HeadRows& chunk, std::span<float> grads);
/// Adds the part of trained tokens to the gradient of `normed`. Follows add_head_gradient for the same chunk.
void add_token_gradient(const ForwardContext& model, const HeadRows& chunk, TensorView dnormed);

}  // namespace lora_dist

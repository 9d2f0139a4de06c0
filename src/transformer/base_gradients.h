// The gradients of the base's own tensors in full fine-tuning. A matrix's gradient is turned into fixed point and added over the
// micro-batches in flight, one block or chunk at a time, and each data rank keeps its slice of the sum over the ranks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/base/trained_base.h"
#include "src/transformer/block.h"
#include "src/transformer/embed.h"
#include "src/transformer/trained_tables.h"

namespace lora_dist {

/// Where a round of micro-batches leaves its gradients.
struct BaseGradients {
  const TrainedBase& base;
  float factor = 1.0F;            // undoes the loss scale of fp16
  float limit = 0.0F;             // as fixed_point_add takes it
  std::vector<std::int64_t> bad;  // per micro-batch: values that were not added
};

/// Between these two, micro-batches add their gradients of a block. Collective over the ranks that divide the base: a rank
/// without tokens calls both. They do nothing if nothing of the block is trained.
void begin_block_gradients(const ForwardContext& model, std::int64_t layer);
void end_block_gradients(const ForwardContext& model, std::int64_t layer);
/// Adds dy^T x to the weight's gradient, and writes the bias's to the flat buffer. dy: [tokens, out]; x: [tokens, in].
void add_linear_gradient(const BlockContext& block, Linear linear, ConstTensorView dy, ConstTensorView x);

/// Adds the gradient of the norm of q's or k's heads: dy and x are of one width, a row for each value of rstd.
void add_head_norm_gradient(const BlockContext& block, VectorSite site, ConstTensorView dy, ConstTensorView x,
                            ConstTensorView rstd);

/// The same two for a chunk of the head; between them a micro-batch begins with begin_head_rows and adds the rows of its tokens.
void begin_head_gradients(const ForwardContext& model, std::int64_t chunk);
void end_head_gradients(const ForwardContext& model, std::int64_t chunk);
void begin_head_rows(const ForwardContext& model, std::int64_t chunk);
void add_head_rows(const ForwardContext& model, const HeadRows& rows);
void end_head_rows(const ForwardContext& model, std::int64_t chunk, std::size_t micro_batch);

/// Adds the gradients of embedding and learned positions, from each micro-batch's hidden_gradient after the first block's
/// backward. Collective, as above. `grads`: the flat buffers.
void add_embedding_gradients(const ForwardContext& model, std::span<const EmbeddedBatch> batches,
                             std::span<const std::span<float>> grads);

/// Copies the trained vectors of `params`, a TP rank's flat buffer, to the base that forward reads.
void put_trained_vectors(const ForwardContext& model, std::span<const float> params);

}  // namespace lora_dist

// Computes the input of the first block.
#pragma once

#include <span>

#include "src/transformer/device_micro_batch.h"
#include "src/transformer/forward_context.h"
#include "src/transformer/tensor_parallel.h"

namespace lora_dist {

/// One micro-batch before the first block.
struct EmbeddedBatch {
  const DeviceMicroBatch& batch;
  const TensorParallel& tp;
  const MicroBatchBuffers& buffers;
};
/// Fills buffers.entering(0) of each with this rank's shard: rows of the embedding, scaled, with learned positions. Joins the
/// gathers of the embedding, one per chunk for all micro-batches.
void embed(const ForwardContext& model, std::span<const EmbeddedBatch> batches);

/// The rows of the embedding for `ids`, at most a micro-batch: the first values of virtual tokens. out: f32 [ids, hidden].
/// Collective, as embed.
void embedding_rows(const ForwardContext& model, std::span<const std::int32_t> ids, TensorView out);

}  // namespace lora_dist

// What enters the first block.
#pragma once

#include <span>

#include "src/transformer/device_micro_batch.h"
#include "src/transformer/forward_context.h"
#include "src/transformer/tensor_parallel.h"

namespace lora_dist {

/// One micro-batch on its way to the first block.
struct EmbeddedBatch {
  const DeviceMicroBatch& batch;
  const TensorParallel& tp;
  const MicroBatchBuffers& buffers;
};
/// Fills buffers.entering(0) of each: rows of the embedding, scaled, with learned positions, of this rank's shard. Serves the
/// gathers of the embedding, a chunk once for all.
void embed(const ForwardContext& model, std::span<const EmbeddedBatch> batches);

}  // namespace lora_dist

// The whole model over the micro-batches in flight: embedding, blocks through the weight window, head and loss; and backward.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "src/adapter/linear_hooks.h"
#include "src/transformer/forward_context.h"
#include "src/transformer/micro_batch.h"
#include "src/transformer/objective.h"
#include "src/transformer/tensor_parallel.h"

namespace lora_dist {

/// The parts of a step in a dry run's record (kernels/common/work_record.h). The forward part includes the fetch of the head's
/// first chunk.
inline constexpr std::string_view kEmbeddingPart = "embedding";
inline constexpr std::string_view kForwardPart = "forward";    // of the blocks
inline constexpr std::string_view kHeadPart = "head";          // both ways
inline constexpr std::string_view kBackwardPart = "backward";  // of the blocks

/// The number of micro-batches that the workspace holds: the maximum for the functions below.
std::size_t most_in_flight(const ForwardContext& model);

/// Forward and backward of some micro-batches, block by block: all of them per fetched block. Each has the same bits as alone.
/// Writes to grads[i] (the flat buffer, in the operators' memory) the gradient of objective.scale * the objective of micro-batch
/// i, on a TP rank its share of it; returns the unscaled values of the objectives. The workspace must be made for training.
std::vector<double> forward_backward(const ForwardContext& model, std::span<const MicroBatch> batches, const Objective& objective,
                                     const StepDropout& dropout, std::span<const std::span<float>> grads);

/// Forward only; the sum of token losses of each.
std::vector<double> forward_loss(const ForwardContext& model, std::span<const MicroBatch> batches);

/// Forward only, on a rank without TP; for every token the log-probability of its target (0 if that is -100) and the most
/// probable next id. log_prob: [tokens], argmax: [tokens].
void forward_log_probs(const ForwardContext& model, const MicroBatch& batch, std::span<float> log_prob,
                       std::span<std::int32_t> argmax);

/// Runs new tokens of a sequence against its cache, appends them to it, and returns the logits after the last one: [vocab]. The
/// adapter's virtual tokens come before the first ones.
std::vector<float> forward_next(const ForwardContext& model, std::span<const std::int32_t> ids, KvCache& cache);

/// A micro-batch's tokens divided over the ranks that share it.
TensorParallel tensor_parallel(const ForwardContext& model, std::int64_t tokens);
/// The last block's output for all tokens: [tokens, hidden].
TensorView last_hidden(const ForwardContext& model, const MicroBatchBuffers& buffers, std::int64_t tokens);

}  // namespace lora_dist

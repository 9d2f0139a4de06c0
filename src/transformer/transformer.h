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

/// The parts of a step in a dry run's record (kernels/common/work_record.h). The first chunk of the head is fetched in the
/// forward part.
inline constexpr std::string_view kEmbeddingPart = "embedding";
inline constexpr std::string_view kForwardPart = "forward";    // of the blocks
inline constexpr std::string_view kHeadPart = "head";          // both ways
inline constexpr std::string_view kBackwardPart = "backward";  // of the blocks

/// How many micro-batches the workspace holds at a time: the most that the functions below take.
std::size_t most_in_flight(const ForwardContext& model);

/// Forward and backward of some micro-batches, block by block: all of them while a block's weights are there. Each has the bits
/// that it has alone. Writes to grads[i] (the flat buffer, where the operators run) the gradient of objective.scale * the
/// objective of micro-batch i, of a TP rank its share of it; returns the objectives' values, unscaled. The workspace must be
/// made for training.
std::vector<double> forward_backward(const ForwardContext& model, std::span<const MicroBatch> batches, const Objective& objective,
                                     const StepDropout& dropout, std::span<const std::span<float>> grads);

/// Forward alone; the sum of token losses of each.
std::vector<double> forward_loss(const ForwardContext& model, std::span<const MicroBatch> batches);

/// Forward alone, of a rank that computes alone; for every token the log-probability of its target (0 where that is -100) and the
/// most probable next id. log_prob: [tokens], argmax: [tokens].
void forward_log_probs(const ForwardContext& model, const MicroBatch& batch, std::span<float> log_prob,
                       std::span<std::int32_t> argmax);

/// Runs new tokens of one sequence against its cache, appends them to it, and returns the logits after the last one: [vocab].
std::vector<float> forward_next(const ForwardContext& model, std::span<const std::int32_t> ids, KvCache& cache);

/// The tokens of a micro-batch among the ranks that share it.
TensorParallel tensor_parallel(const ForwardContext& model, std::int64_t tokens);
/// What the last block left of all tokens: [tokens, hidden].
TensorView last_hidden(const ForwardContext& model, const MicroBatchBuffers& buffers, std::int64_t tokens);

}  // namespace lora_dist

// The whole model over one pass: embedding, blocks through the weight window, head and loss in chunks; and backward.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/base/weight_window.h"
#include "src/transformer/activations.h"
#include "src/transformer/block.h"

namespace lora_dist {

/// One pass: some sequences laid end to end, without padding. All i32, in host memory. A pass without tokens is a rank without
/// work: it still serves every gather, so every rank must call the same functions the same number of times.
struct Pass {
  std::span<const std::int32_t> ids;        // [tokens]
  std::span<const std::int32_t> targets;    // [tokens]: the id that should follow, -100 where none is trained
  std::span<const std::int32_t> positions;  // [tokens]: place in the sample
  std::span<const std::int32_t> samples;    // [tokens]: sample id
  std::span<const std::int32_t> starts;     // [segments + 1]: tokens of a segment see only that segment

  std::int64_t tokens() const { return static_cast<std::int64_t>(ids.size()); }
};

/// The model as a rank runs it.
struct Transformer {
  const FrozenBase* base = nullptr;
  const AdapterLayout* layout = nullptr;
  WeightWindow* window = nullptr;
  const Workspace* workspace = nullptr;
  std::span<const float> params;  // the flat buffer of factors, where the operators run
  Stream stream;
  Communicator* tensor = nullptr;  // the ranks that share every pass, over the operators' memory; null: this one alone
};

/// The tokens of a pass among the ranks that share it.
TensorRows tensor_rows(const Transformer& model, std::int64_t tokens);
/// What the last block left, of all tokens: [tokens, hidden].
TensorView last_hidden(const Transformer& model, std::int64_t tokens);

/// Dropout of a training step.
struct StepDropout {
  float p = 0.0F;
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
};

/// Forward and backward. Writes to `grads` (the flat buffer, where the operators run) the gradient of loss_scale * (sum of token
/// losses), of a tensor rank its share of it; returns that sum, unscaled, added in double in the order of the tokens. The
/// workspace must be made for training.
double forward_backward(const Transformer& model, const Pass& pass, const StepDropout& dropout, float loss_scale,
                        std::span<float> grads);

/// Forward alone; returns the sum of token losses.
double forward_loss(const Transformer& model, const Pass& pass);

/// Forward alone, of a rank that computes alone; for every token the log-probability of its target (0 where that is -100) and the
/// most probable next id. log_prob: [tokens], argmax: [tokens].
void forward_log_probs(const Transformer& model, const Pass& pass, std::span<float> log_prob, std::span<std::int32_t> argmax);

/// Runs new tokens of one sequence against its cache, appends them to it, and returns the logits after the last one: [vocab].
std::vector<float> forward_next(const Transformer& model, std::span<const std::int32_t> ids, KvCache& cache);

}  // namespace lora_dist

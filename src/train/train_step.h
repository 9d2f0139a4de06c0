// One optimizer step: passes, gradients in fixed point, one reduction, clipping, AdamW.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "src/adapter/adapter_part.h"
#include "src/comm/communicator.h"
#include "src/data/batch.h"
#include "src/transformer/transformer.h"

namespace lora_dist {

/// What a step needs of the configuration.
struct StepOptions {
  std::int64_t micro_batch = 4;  // sequences per pass
  float dropout = 0.0F;
  std::uint64_t seed = 0;
  double max_grad_norm = 1.0;  // 0: no clipping
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
  bool scaled = false;  // fp16: losses are scaled, so that small gradients are not rounded to zero
};

/// Dynamic loss scale of fp16 (Micikevicius et al., "Mixed precision training", 2018): always a power of two, so that taking it
/// out again rounds nothing. Part of a run's progress.
struct LossScale {
  double value = 65536.0;
  std::int64_t good_steps = 0;  // since it changed; after kStepsToGrow of them it doubles
};
inline constexpr std::int64_t kStepsToGrow = 2000;
inline constexpr double kLargestLossScale = 16777216.0;

/// The flat buffers of all adapters, of equal size, where the operators run.
struct TrainedBuffers {
  std::span<float> params;
  std::span<float> m;
  std::span<float> v;
  std::span<float> grads;        // of one pass; then of the step
  std::span<std::int64_t> sums;  // of the step's passes, in fixed point
  // What a tensor rank computes with: the part's own, or the whole ones again where nothing is cut.
  std::span<float> part_params = {};
  std::span<float> part_grads = {};
  std::span<std::int64_t> part_sums = {};
};

/// Who works on a step.
struct StepRanks {
  Communicator& data;       // the passes are dealt to its ranks
  Communicator& world;      // all ranks, over host memory: losses, and what went wrong
  Communicator& gradients;  // all ranks, over the memory that operators run in
  /// Asked between passes, by all ranks together: true on all ends the step as if it had not begun. May be empty.
  std::function<bool()> give_up = {};
};

struct StepResult {
  double loss = 0.0;       // sum of token losses over the global batch / its target tokens
  double grad_norm = 0.0;  // before clipping
  std::int64_t tokens = 0;
  std::int64_t target_tokens = 0;
  double gradient_seconds = 0.0;          // that the host spent in the all-reduce of the gradients
  bool finite = true;                     // false: nothing was changed
  bool given_up = false;                  // so was this: nothing was changed
  bool stop_asked = false;                // on any rank
  std::vector<std::int64_t> bad_samples;  // indices of the samples in the passes that were not finite
};

/// Collective over `ranks.world`. `sequences` is the global batch, the same on every rank; it is cut into passes of micro_batch
/// sequences, the same on every mesh, and pass i is computed by data rank i mod their number. `step` (from 0) names the dropout
/// masks; `optimizer_step` (from 1) is AdamW's. Loss, gradient and update are the same bits for every number of data ranks.
/// `part`: of this tensor rank. With options.scaled a step whose gradients overflow is computed again with half the scale, so
/// that no batch is lost.
StepResult train_step(const Transformer& model, const AdapterPart& part, const StepRanks& ranks,
                      std::span<const Sequence> sequences, std::span<const Sample> samples, const StepOptions& options,
                      std::int64_t step, std::int64_t optimizer_step, double learning_rate, const TrainedBuffers& buffers,
                      bool stop_asked_here, LossScale& loss_scale);

}  // namespace lora_dist

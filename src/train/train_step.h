// One optimizer step: micro-batches, gradients in fixed point, one reduction, clipping, AdamW.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "src/adapter/adapter_shard.h"
#include "src/adapter/step_hooks.h"
#include "src/base/trained_base.h"
#include "src/comm/communicator.h"
#include "src/data/packing.h"
#include "src/data/sample.h"
#include "src/train/update_ranges.h"
#include "src/transformer/transformer.h"

namespace lora_dist {

/// The configuration of a step.
struct StepOptions {
  std::int64_t micro_batch = 4;  // sequences per micro-batch
  float dropout = 0.0F;
  std::uint64_t seed = 0;
  double max_grad_norm = 1.0;  // 0: no clipping
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
  std::vector<UpdateRange> update_ranges;  // of the flat buffers; empty: all learn with learning_rate
  bool scaled = false;                     // fp16: scales losses, so that small gradients do not round to zero
};

/// Dynamic loss scale of fp16 (Micikevicius et al., "Mixed precision training", 2018): always a power of two, so that unscaling
/// does not round. Part of a run's progress.
struct LossScale {
  double value = 65536.0;
  std::int64_t good_steps = 0;  // since the last change; kStepsToGrow of them double the scale
};
inline constexpr std::int64_t kStepsToGrow = 2000;
inline constexpr double kLargestLossScale = 16777216.0;

/// The flat buffers of all adapters, of equal size but for `sums`, in the operators' memory.
struct TrainedBuffers {
  std::span<float> params;
  std::span<float> m;
  std::span<float> v;
  std::span<float> grads;        // of a micro-batch without TP; then of the step
  std::span<std::int64_t> sums;  // of the step's micro-batches, in fixed point: of the elements that these use
  // The TP rank's shard: its own buffers, or the whole ones without TP.
  std::span<float> part_params = {};
  std::span<std::int64_t> part_sums = {};
  std::vector<std::span<float>> part_grads = {};  // of each micro-batch in flight
  StepMemory method = {};                         // of the method's step hooks
};

/// What the method does in a step besides the update.
struct StepOfMethod {
  const AdapterLayout& layout;  // of the whole adapter
  const AdaLoraOptions& options;
  RankBudget& budget;
  std::int64_t total_steps = 1;
};

/// The ranks that compute a step.
struct StepRanks {
  Communicator& data;       // its ranks get the micro-batches
  Communicator& world;      // all ranks, over host memory: losses and errors
  Communicator& gradients;  // all ranks, over the operators' memory
};

/// The input of one step.
struct StepInput {
  const ForwardContext& model;
  const AdapterShard& part;  // of this TP rank
  StepRanks ranks;
  const TrainedBuffers& buffers;
  std::span<const Sequence> sequences;  // the global batch, the same on every rank
  std::span<const Sample> samples;
  const StepOptions& options;
  const PromptEncoder* encoder = nullptr;  // of virtual tokens: its parameters are trained; null: none
  std::int64_t step = 0;                   // from 0: names the dropout masks
  std::int64_t optimizer_step = 1;         // from 1: AdamW's
  double learning_rate = 0.0;
  const StepOfMethod* method = nullptr;  // AdaLoRA's rank budget; null: the method has no step hooks
  const TrainedBase* trained = nullptr;  // of full fine-tuning: the base's own matrices; null: they are frozen
  /// Called between rounds of micro-batches, by all ranks together: true on all aborts the step. May be empty.
  std::function<bool()> abort = {};
  /// Called between rounds with the numbers of done and all micro-batches of the step, over all ranks. May be empty on any rank.
  std::function<void(std::int64_t done, std::int64_t all)> tell_done = {};
};

struct StepResult {
  double loss = 0.0;                               // sum of token losses over the global batch / its target tokens
  double grad_norm = 0.0;                          // before clipping, with the gradient of regularization_loss
  std::optional<double> regularization_loss = {};  // the method's term of the loss, which is not in `loss`
  std::int64_t tokens = 0;
  std::int64_t target_tokens = 0;
  double gradient_seconds = 0.0;          // of the host, in the all-reduce of the gradients
  bool finite = true;                     // false: the step changed nothing
  bool aborted = false;                   // true: the step changed nothing
  std::vector<std::int64_t> bad_samples;  // indices of the samples in micro-batches that were not finite
};

/// Collective over `ranks.world`. Cuts the global batch into micro-batches of options.micro_batch sequences, the same on every
/// mesh; data rank i mod their number computes micro-batch i. Loss, gradient and update have the same bits for every number of
/// data ranks and of micro-batches in flight. An aborted step leaves no state. With options.scaled a step whose gradients
/// overflow is computed again with half the scale, so that no batch is lost.
StepResult train_step(const StepInput& input, LossScale& loss_scale);

}  // namespace lora_dist

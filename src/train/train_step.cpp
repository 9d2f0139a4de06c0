// One optimizer step: computes this rank's micro-batches, reduces, clips and updates.
#include "src/train/train_step.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <optional>

#include "kernels/adamw/adamw.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/fixed_point/fixed_point.h"
#include "kernels/fixed_point/fixed_point_norm.h"
#include "src/core/elapsed.h"
#include "src/core/fault_point.h"
#include "src/job/make_micro_batch.h"
#include "src/train/encode_virtual_tokens.h"
#include "src/transformer/base_gradients.h"

namespace lora_dist {

namespace {

constexpr double kLossUnit = 0x1p-40;   // losses are summed as integers too, each divided by the step's target tokens
constexpr double kLossLimit = 0x1p+20;  // nats per token; a higher loss counts as not finite

/// The sums over this rank's micro-batches.
struct RankTotals {
  std::int64_t loss = 0;        // in units of kLossUnit
  std::int64_t bad = 0;         // gradients that are not finite
  std::int64_t bad_losses = 0;  // micro-batches with a loss that is not finite
  std::vector<std::int64_t> bad_samples;
  bool aborted = false;
};

/// The values that all micro-batches of a step share.
struct StepScale {
  double target_tokens = 1.0;                 // of the global batch
  double loss_scale = 1.0;                    // of fp16
  float largest_gradient = kFixedPointLimit;  // limit per micro-batch, so that the sum cannot wrap
};

/// The result of one micro-batch.
struct MicroBatchResult {
  std::span<const Sequence> sequences;
  std::int64_t target_tokens = 0;
  double loss = 0.0;
  std::int64_t bad = 0;  // gradients of the base's matrices that are not finite
};

/// Adds one micro-batch's gradient and loss to the sums.
void add_micro_batch(const StepInput& input, const StepScale& scale, const MicroBatchResult& result, std::span<float> grads,
                     RankTotals& totals) {
  fault_point("gradient", grads);
  const std::int64_t bad =
      result.bad + fixed_point_add(view(grads), static_cast<float>(1.0 / scale.loss_scale), view(input.buffers.part_sums),
                                   scale.largest_gradient, input.model.stream);
  std::int64_t bad_losses = 0;
  if (!std::isfinite(result.loss) ||
      result.loss > kLossLimit * static_cast<double>(std::max<std::int64_t>(1, result.target_tokens))) {
    ++bad_losses;
  } else {
    totals.loss += std::llrint(result.loss / scale.target_tokens / kLossUnit);
  }
  if (bad + bad_losses > 0) {
    totals.bad += bad;
    totals.bad_losses += bad_losses;
    for (const Sequence& sequence : result.sequences) {
      totals.bad_samples.insert(totals.bad_samples.end(), sequence.begin(), sequence.end());
    }
  }
}

/// A rank without a micro-batch serves its slices of the base to the others.
void compute_round(const StepInput& input, const StepScale& scale, std::span<const std::span<const Sequence>> mine,
                   RankTotals& totals) {
  const std::vector<MicroBatch> batches = make_micro_batches(mine, input.samples, input.model.layout->virtual_tokens);
  if (!mine.empty()) {
    fault_point("pass");
  }
  const Objective objective{static_cast<float>(scale.loss_scale / scale.target_tokens)};
  const StepDropout dropout{input.options.dropout, input.options.seed, static_cast<std::uint32_t>(input.step)};
  ForwardContext model = input.model;
  std::optional<BaseGradients> of_base;
  if (input.trained != nullptr) {
    of_base.emplace(BaseGradients{*input.trained, static_cast<float>(1.0 / scale.loss_scale), scale.largest_gradient,
                                  std::vector<std::int64_t>(batches.size())});
    model.base_gradients = &*of_base;
  }
  const std::vector<double> losses = forward_backward(model, batches, objective, dropout, input.buffers.part_grads);
  for (std::size_t i = 0; i < mine.size(); ++i) {
    add_micro_batch(input, scale, {mine[i], batches[i].target_tokens(), losses[i], of_base ? of_base->bad[i] : 0},
                    input.buffers.part_grads[i], totals);
  }
}

/// All micro-batches of this rank; every rank takes part in every round.
RankTotals compute_micro_batches(const StepInput& input, const StepScale& scale) {
  RankTotals totals;
  zero(view(input.buffers.part_sums), input.model.stream);
  if (input.trained != nullptr) {
    zero(view(input.trained->sums), input.model.stream);
  }
  const Deal deal{count_micro_batches(input.sequences, input.options.micro_batch), input.options.micro_batch,
                  static_cast<std::int64_t>(most_in_flight(input.model)), input.ranks.data.size()};
  for (std::int64_t round = 0; round < deal.rounds() && !totals.aborted; ++round) {
    compute_round(input, scale, sequences_of_round(deal, input.sequences, input.ranks.data.rank(), round), totals);
    const bool goes_on = round + 1 < deal.rounds();
    if (goes_on && input.tell_done) {
      input.tell_done((round + 1) * deal.of_round(), deal.micro_batches);
    }
    totals.aborted = goes_on && input.abort && input.abort();
  }
  return totals;
}

/// The lists of all ranks, joined in rank order; indices named by several ranks of a micro-batch count once.
std::vector<std::int64_t> join_lists(Communicator& comm, const std::vector<std::int64_t>& mine) {
  std::string bytes(mine.size() * sizeof(std::int64_t), '\0');
  if (!mine.empty()) {  // memcpy must not get a null pointer
    std::memcpy(bytes.data(), mine.data(), bytes.size());
  }
  std::vector<std::int64_t> all;
  for (const std::string& part : all_gather_strings(comm, bytes)) {
    std::vector<std::int64_t> theirs(part.size() / sizeof(std::int64_t));
    if (!part.empty()) {
      std::memcpy(theirs.data(), part.data(), part.size());
    }
    std::copy_if(theirs.begin(), theirs.end(), std::back_inserter(all),
                 [&](std::int64_t row) { return std::find(all.begin(), all.end(), row) == all.end(); });
  }
  return all;
}

void grow_after_good_step(LossScale& scale) {
  if (++scale.good_steps >= kStepsToGrow) {
    scale = {std::min(2.0 * scale.value, kLargestLossScale), 0};
  }
}

/// Tokens of the global batch without virtual ones, and its target tokens.
StepResult count_tokens(const StepInput& input) {
  StepResult result;
  for (const Sequence& sequence : input.sequences) {
    for (const std::int32_t index : sequence) {
      const Sample& sample = input.samples[static_cast<std::size_t>(index)];
      result.tokens += static_cast<std::int64_t>(sample.input_ids.size());
      result.target_tokens += target_tokens(sample, input.model.layout->virtual_tokens);
    }
  }
  return result;
}

/// The sums over all ranks in a step.
struct StepSums {
  std::int64_t loss = 0;  // in units of kLossUnit
  std::int64_t bad = 0;   // gradients that are not finite
  std::int64_t bad_losses = 0;
  double gradient_seconds = 0.0;  // this rank's host, in the all-reduce of the gradients
};

/// Sums the gradients of all ranks in buffers.sums, and their counts.
StepSums reduce_step(const StepInput& input, const RankTotals& totals) {
  const Communicator* const tensor = input.model.tensor;
  if (!input.part.parameters.empty()) {
    zero(view(input.buffers.sums), input.model.stream);
    add_shard(input.part, input.buffers.part_sums, input.buffers.sums, input.model.stream);
  }
  const auto start = Clock::now();
  input.ranks.gradients.all_reduce(input.buffers.sums, Reduce::sum, WireKind::adapter_gradient);
  const double seconds = seconds_since(start);
  // The loss is replicated over TP ranks; only TP rank 0 contributes.
  const bool contributes = tensor == nullptr || tensor->rank() == 0;
  std::array<std::int64_t, 3> shared = {contributes ? totals.loss : 0, totals.bad, totals.bad_losses};
  input.ranks.world.all_reduce(shared, Reduce::sum, WireKind::control);
  return {shared[0], shared[1], shared[2], seconds};
}

MethodStep method_step(const StepInput& input) {
  const StepOfMethod& method = *input.method;
  return {method.layout, input.buffers.params, input.buffers.grads, input.buffers.method, method.options,
          method.budget, input.step + 1,       method.total_steps,  input.model.stream};
}

/// The norm of all gradients, whose small tensors every rank has whole: no bit of it depends on the mesh's data ranks.
double norm_with_base(const StepInput& input) {
  const ConstTensorView slices = view(input.trained->sums);
  const ConstTensorView vectors = view(input.buffers.sums);
  const Stream& stream = input.model.stream;
  std::array<std::int64_t, 1> largest = {std::max(fixed_point_largest(slices, stream), fixed_point_largest(vectors, stream))};
  input.ranks.world.all_reduce(largest, Reduce::max, WireKind::control);
  const int shift = square_shift(largest[0]);
  const SquareSum mine = fixed_point_squares(slices, shift, stream);
  const SquareSum shared = input.ranks.world.rank() == 0 ? fixed_point_squares(vectors, shift, stream) : SquareSum{};
  std::array<std::int64_t, 2> sum = {mine.high + shared.high, mine.low + shared.low};
  input.ranks.world.all_reduce(sum, Reduce::sum, WireKind::control);
  return norm_of({sum[0], sum[1]}, shift);
}

/// Reads the step's gradient, takes it to the encoder of virtual tokens, and adds that of the method's own loss.
void finish_gradient(const StepInput& input, StepResult& result) {
  const std::span<float> used = input.buffers.grads.first(input.buffers.sums.size());
  result.grad_norm = std::sqrt(fixed_point_read(view(input.buffers.sums), view(used), input.model.stream));
  if (input.trained != nullptr) {
    result.grad_norm = norm_with_base(input);
  }
  if (input.encoder != nullptr) {
    result.grad_norm = take_encoder_gradients(*input.encoder, input.buffers.params, input.buffers.grads, input.model.stream);
  }
  if (input.method != nullptr && std::isfinite(result.grad_norm)) {
    const RegularizationLoss own = input.method->layout.method->step->add_regularization_gradient(method_step(input));
    result.regularization_loss = own.loss;
    result.grad_norm = std::sqrt(own.squared_norm);
  }
}

/// The base's matrices on this rank, and what forward reads of the small tensors.
void update_base(const StepInput& input, double clip, const AdamWStep& step) {
  WeightWindow& window = *input.model.window;
  window.begin_change();
  update_trained_base(*input.trained, clip, step, input.model.stream);
  put_trained_vectors(input.model, input.buffers.part_params);
  window.end_change();
}

/// Clips the gradient by its norm and updates the parameters.
void update_parameters(const StepInput& input, double grad_norm) {
  const StepOptions& options = input.options;
  const TrainedBuffers& buffers = input.buffers;
  const Stream& stream = input.model.stream;
  // torch.nn.utils.clip_grad_norm_ adds 1e-6 to the divisor
  const double clip = options.max_grad_norm > 0.0 ? options.max_grad_norm / (grad_norm + 1e-6) : 1.0;
  if (clip < 1.0) {
    scale(view(buffers.grads), static_cast<float>(clip), stream);
  }
  const auto step_at = [&](double rate) {
    return AdamWStep{input.optimizer_step, rate * input.learning_rate, options.beta1, options.beta2,
                     options.eps,          options.weight_decay};
  };
  const std::vector<UpdateRange> whole = {{0, std::ssize(buffers.params), 1.0}};
  for (const UpdateRange& range : options.update_ranges.empty() ? whole : options.update_ranges) {
    const auto of_range = [&](std::span<float> all) {
      return view(all.subspan(static_cast<std::size_t>(range.offset), static_cast<std::size_t>(range.count)));
    };
    adamw(of_range(buffers.params), of_range(buffers.grads), of_range(buffers.m), of_range(buffers.v), step_at(range.rate),
          stream);
  }
  if (input.method != nullptr) {
    input.method->layout.method->step->after_update(method_step(input));
  }
  if (input.encoder != nullptr) {
    put_encoded_rows(*input.encoder, buffers.params, stream);
  }
  take_shard(input.part, buffers.params, buffers.part_params, stream);
  if (input.trained != nullptr) {
    update_base(input, clip, step_at(1.0));
  }
}

}  // namespace

StepResult train_step(const StepInput& input, LossScale& loss_scale) {
  const StepOptions& options = input.options;
  StepResult result = count_tokens(input);
  const auto target_tokens = static_cast<double>(std::max<std::int64_t>(1, result.target_tokens));
  const std::int64_t micro_batches = std::max<std::int64_t>(1, count_micro_batches(input.sequences, options.micro_batch));
  const auto shares = static_cast<float>(micro_batches * (input.model.tensor == nullptr ? 1 : input.model.tensor->size()));
  StepScale scale_of_step{target_tokens, 1.0, kFixedPointLimit / shares};

  RankTotals totals;
  StepSums sums;
  const LossScale before = loss_scale;
  for (bool again = true; again;) {
    scale_of_step.loss_scale = options.scaled ? loss_scale.value : 1.0;
    totals = compute_micro_batches(input, scale_of_step);
    if (totals.aborted) {
      result.aborted = true;
      loss_scale = before;
      return result;
    }
    sums = reduce_step(input, totals);
    result.gradient_seconds += sums.gradient_seconds;
    again = options.scaled && sums.bad > 0 && sums.bad_losses == 0 && loss_scale.value > 1.0;
    if (again) {
      loss_scale = {loss_scale.value / 2.0, 0};
    }
  }

  result.loss = static_cast<double>(sums.loss) * kLossUnit;
  finish_gradient(input, result);
  if (sums.bad + sums.bad_losses > 0 || !std::isfinite(result.grad_norm)) {
    result.finite = false;
    loss_scale = before;  // a batch that overflows at every scale does not change the scale of the next
    result.bad_samples = join_lists(input.ranks.world, totals.bad_samples);
    return result;
  }
  update_parameters(input, result.grad_norm);
  if (options.scaled) {
    grow_after_good_step(loss_scale);
  }
  return result;
}

}  // namespace lora_dist

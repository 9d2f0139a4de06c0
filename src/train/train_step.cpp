// One optimizer step: computes this rank's passes, reduces, clips and updates.
#include "src/train/train_step.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <iterator>

#include "kernels/adamw/adamw.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/fixed_point/fixed_point.h"
#include "src/core/fault_point.h"
#include "src/job/pass_of.h"

namespace lora_dist {

namespace {

constexpr double kLossUnit = 0x1p-40;   // losses too, each divided by the step's target tokens, are added as integers
constexpr double kLossLimit = 0x1p+20;  // nats per token beyond which a loss counts as not finite

struct PassTotals {
  std::int64_t loss = 0;        // in units of kLossUnit
  std::int64_t bad = 0;         // gradients that are not finite
  std::int64_t bad_losses = 0;  // passes whose loss is not
  std::vector<std::int64_t> bad_samples;
  bool given_up = false;
};

std::span<const Sequence> sequences_of_pass(std::span<const Sequence> sequences, std::int64_t pass, std::int64_t micro_batch) {
  const auto first = static_cast<std::size_t>(pass * micro_batch);
  return first >= sequences.size()
             ? std::span<const Sequence>{}
             : sequences.subspan(first, std::min(static_cast<std::size_t>(micro_batch), sequences.size() - first));
}

std::int64_t passes_of(std::span<const Sequence> sequences, std::int64_t micro_batch) {
  return (static_cast<std::int64_t>(sequences.size()) + micro_batch - 1) / micro_batch;
}

/// What all passes of a step share.
struct StepScale {
  double target_tokens = 1.0;                 // of the global batch
  double loss_scale = 1.0;                    // of fp16
  float largest_gradient = kFixedPointLimit;  // what one pass may add so that the sum of all cannot wrap
};

/// One pass of this rank: adds its gradient and its loss to the sums.
void run_pass(const Transformer& model, std::span<const Sequence> sequences, std::span<const Sample> samples,
              const StepDropout& dropout, const StepScale& step, const TrainedBuffers& buffers, PassTotals& totals) {
  const Batch batch = make_batch(sequences, samples);
  const auto loss_scale = static_cast<float>(step.loss_scale / step.target_tokens);
  fault_point("pass");
  const double loss = forward_backward(model, pass_of(batch), dropout, loss_scale, buffers.part_grads);
  fault_point("gradient", buffers.part_grads);
  const std::int64_t bad = fixed_point_add(view(buffers.part_grads), static_cast<float>(1.0 / step.loss_scale),
                                           view(buffers.part_sums), step.largest_gradient, model.stream);
  std::int64_t bad_losses = 0;
  if (!std::isfinite(loss) || loss > kLossLimit * static_cast<double>(std::max<std::int64_t>(1, batch.target_tokens))) {
    ++bad_losses;
  } else {
    totals.loss += std::llrint(loss / step.target_tokens / kLossUnit);
  }
  if (bad + bad_losses > 0) {
    totals.bad += bad;
    totals.bad_losses += bad_losses;
    for (const Sequence& sequence : sequences) {
      totals.bad_samples.insert(totals.bad_samples.end(), sequence.begin(), sequence.end());
    }
  }
}

/// Every rank's list, joined in rank order; what several ranks of a pass name counts once.
std::vector<std::int64_t> join_lists(Communicator& comm, const std::vector<std::int64_t>& mine) {
  std::string bytes(mine.size() * sizeof(std::int64_t), '\0');
  if (!mine.empty()) {  // memcpy takes no null pointer
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

/// All passes of this rank; the others need its slices of the base even where it has none left.
PassTotals run_passes(const Transformer& model, const StepRanks& ranks, std::span<const Sequence> sequences,
                      std::span<const Sample> samples, std::int64_t micro_batch, const StepDropout& dropout,
                      const StepScale& step, const TrainedBuffers& buffers) {
  PassTotals totals;
  const Communicator& data = ranks.data;
  zero(view(buffers.part_sums), model.stream);
  const std::int64_t passes = passes_of(sequences, micro_batch);
  for (std::int64_t first = 0; first < passes && !totals.given_up; first += data.size()) {
    const std::span<const Sequence> mine = sequences_of_pass(sequences, first + data.rank(), micro_batch);
    if (mine.empty()) {
      forward_backward(model, Pass{}, dropout, 0.0F, buffers.part_grads);
    } else {
      run_pass(model, mine, samples, dropout, step, buffers, totals);
    }
    totals.given_up = first + data.size() < passes && ranks.give_up && ranks.give_up();
  }
  return totals;
}

void grow_after_good_step(LossScale& scale) {
  if (++scale.good_steps >= kStepsToGrow) {
    scale = {std::min(2.0 * scale.value, kLargestLossScale), 0};
  }
}

/// Tokens of the global batch, and those that are trained on.
StepResult count_tokens(std::span<const Sequence> sequences, std::span<const Sample> samples) {
  StepResult result;
  for (const Sequence& sequence : sequences) {
    for (const std::int32_t index : sequence) {
      const Sample& sample = samples[static_cast<std::size_t>(index)];
      result.tokens += static_cast<std::int64_t>(sample.input_ids.size());
      result.target_tokens += trained_tokens(sample);
    }
  }
  return result;
}

/// What all ranks found in a step.
struct StepSums {
  std::int64_t loss = 0;  // in units of kLossUnit
  std::int64_t bad = 0;   // gradients that are not finite
  std::int64_t bad_losses = 0;
  bool stop_asked = false;
  double gradient_seconds = 0.0;  // of this rank's host, in the all-reduce of the gradients
};

/// Adds the gradients of all ranks in buffers.sums, and what they found beside them.
StepSums reduce_step(const Transformer& model, const AdapterPart& part, const StepRanks& ranks, const PassTotals& totals,
                     const TrainedBuffers& buffers, bool stop_asked_here) {
  if (!part.factors.empty()) {
    zero(view(buffers.sums), model.stream);
    add_part(part, buffers.part_sums, buffers.sums, model.stream);
  }
  const auto start = std::chrono::steady_clock::now();
  ranks.gradients.all_reduce(buffers.sums, Reduce::sum, WireKind::adapter_gradient);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  // Tensor ranks have the same loss: one of them says it.
  const bool speaks = model.tensor == nullptr || model.tensor->rank() == 0;
  std::array<std::int64_t, 4> shared = {speaks ? totals.loss : 0, totals.bad, totals.bad_losses, stop_asked_here ? 1 : 0};
  ranks.world.all_reduce(shared, Reduce::sum, WireKind::control);
  return {shared[0], shared[1], shared[2], shared[3] > 0, seconds};
}

/// Clips the gradient, whose norm is known, and updates the factors.
void update_factors(const Transformer& model, const AdapterPart& part, const StepOptions& options, double grad_norm,
                    std::int64_t optimizer_step, double learning_rate, const TrainedBuffers& buffers) {
  // torch.nn.utils.clip_grad_norm_ adds 1e-6 to the norm it divides by
  const double clip = options.max_grad_norm > 0.0 ? options.max_grad_norm / (grad_norm + 1e-6) : 1.0;
  if (clip < 1.0) {
    scale(view(buffers.grads), static_cast<float>(clip), model.stream);
  }
  adamw(view(buffers.params), view(buffers.grads), view(buffers.m), view(buffers.v),
        {optimizer_step, learning_rate, options.beta1, options.beta2, options.eps, options.weight_decay}, model.stream);
  take_part(part, buffers.params, buffers.part_params, model.stream);
}

}  // namespace

StepResult train_step(const Transformer& model, const AdapterPart& part, const StepRanks& ranks,
                      std::span<const Sequence> sequences, std::span<const Sample> samples, const StepOptions& options,
                      std::int64_t step, std::int64_t optimizer_step, double learning_rate, const TrainedBuffers& buffers,
                      bool stop_asked_here, LossScale& loss_scale) {
  StepResult result = count_tokens(sequences, samples);
  const auto target_tokens = static_cast<double>(std::max<std::int64_t>(1, result.target_tokens));
  const StepDropout dropout{options.dropout, options.seed, static_cast<std::uint32_t>(step)};
  const std::int64_t passes = std::max<std::int64_t>(1, passes_of(sequences, options.micro_batch));
  const auto shares = static_cast<float>(passes * (model.tensor == nullptr ? 1 : model.tensor->size()));
  StepScale scale_of_step{target_tokens, 1.0, kFixedPointLimit / shares};

  PassTotals totals;
  StepSums sums;
  const LossScale before = loss_scale;
  for (bool again = true; again;) {
    scale_of_step.loss_scale = options.scaled ? loss_scale.value : 1.0;
    totals = run_passes(model, ranks, sequences, samples, options.micro_batch, dropout, scale_of_step, buffers);
    if (totals.given_up) {
      result.given_up = true;
      loss_scale = before;
      return result;
    }
    sums = reduce_step(model, part, ranks, totals, buffers, stop_asked_here);
    result.gradient_seconds += sums.gradient_seconds;
    again = options.scaled && sums.bad > 0 && sums.bad_losses == 0 && loss_scale.value > 1.0;
    if (again) {
      loss_scale = {loss_scale.value / 2.0, 0};
    }
  }

  result.stop_asked = sums.stop_asked;
  result.loss = static_cast<double>(sums.loss) * kLossUnit;
  result.grad_norm = std::sqrt(fixed_point_read(view(buffers.sums), view(buffers.grads), model.stream));
  if (sums.bad + sums.bad_losses > 0 || !std::isfinite(result.grad_norm)) {
    result.finite = false;
    loss_scale = before;  // a batch that no scale helps says nothing about the next
    result.bad_samples = join_lists(ranks.world, totals.bad_samples);
    return result;
  }
  update_factors(model, part, options, result.grad_norm, optimizer_step, learning_rate, buffers);
  if (options.scaled) {
    grow_after_good_step(loss_scale);
  }
  return result;
}

}  // namespace lora_dist

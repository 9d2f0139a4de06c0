// One optimizer step: computes this rank's passes, reduces, clips and updates.
#include "src/train/train_step.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "kernels/adamw/adamw.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/fixed_point/fixed_point.h"

namespace lora_dist {

namespace {

constexpr double kLossUnit = 0x1p-40;   // losses too, each divided by the step's target tokens, are added as integers
constexpr double kLossLimit = 0x1p+20;  // nats per token beyond which a loss counts as not finite

struct PassTotals {
  std::int64_t loss = 0;  // in units of kLossUnit
  std::int64_t bad = 0;   // values that are not finite
  std::vector<std::int64_t> bad_samples;
};

std::span<const Sequence> sequences_of_pass(std::span<const Sequence> sequences, std::int64_t pass, std::int64_t micro_batch) {
  const auto first = static_cast<std::size_t>(pass * micro_batch);
  return first >= sequences.size()
             ? std::span<const Sequence>{}
             : sequences.subspan(first, std::min(static_cast<std::size_t>(micro_batch), sequences.size() - first));
}

/// What all passes of a step share.
struct StepScale {
  double target_tokens = 1.0;                 // of the global batch
  float largest_gradient = kFixedPointLimit;  // what one pass may add so that the sum of all cannot wrap
};

/// One pass of this rank: adds its gradient and its loss to the sums.
void run_pass(const Transformer& model, std::span<const Sequence> sequences, std::span<const Sample> samples,
              const StepDropout& dropout, const StepScale& step, const TrainedBuffers& buffers, PassTotals& totals) {
  const Batch batch = make_batch(sequences, samples);
  const auto loss_scale = static_cast<float>(1.0 / step.target_tokens);
  const double loss = forward_backward(model, pass_of(batch), dropout, loss_scale, buffers.grads);
  std::int64_t bad = fixed_point_add(view(buffers.grads), view(buffers.sums), step.largest_gradient, model.stream);
  if (!std::isfinite(loss) || loss > kLossLimit * static_cast<double>(std::max<std::int64_t>(1, batch.target_tokens))) {
    ++bad;
  } else {
    totals.loss += std::llrint(loss / step.target_tokens / kLossUnit);
  }
  if (bad > 0) {
    totals.bad += bad;
    for (const Sequence& sequence : sequences) {
      totals.bad_samples.insert(totals.bad_samples.end(), sequence.begin(), sequence.end());
    }
  }
}

/// Every rank's list, joined in rank order.
std::vector<std::int64_t> join_lists(Communicator& comm, const std::vector<std::int64_t>& mine) {
  std::string bytes(mine.size() * sizeof(std::int64_t), '\0');
  if (!mine.empty()) {  // memcpy takes no null pointer
    std::memcpy(bytes.data(), mine.data(), bytes.size());
  }
  std::vector<std::int64_t> all;
  for (const std::string& part : all_gather_strings(comm, bytes)) {
    if (part.empty()) {
      continue;
    }
    const std::size_t before = all.size();
    all.resize(before + part.size() / sizeof(std::int64_t));
    std::memcpy(all.data() + before, part.data(), part.size());
  }
  return all;
}

}  // namespace

Pass pass_of(const Batch& batch) { return {batch.ids, batch.targets, batch.positions, batch.samples, batch.starts}; }

StepResult train_step(const Transformer& model, Communicator& data, std::span<const Sequence> sequences,
                      std::span<const Sample> samples, const StepOptions& options, std::int64_t step, std::int64_t optimizer_step,
                      double learning_rate, const TrainedBuffers& buffers, bool stop_asked_here) {
  StepResult result;
  for (const Sequence& sequence : sequences) {
    for (const std::int32_t index : sequence) {
      const Sample& sample = samples[static_cast<std::size_t>(index)];
      result.tokens += static_cast<std::int64_t>(sample.input_ids.size());
      result.target_tokens += trained_tokens(sample);
    }
  }
  const auto target_tokens = static_cast<double>(std::max<std::int64_t>(1, result.target_tokens));
  const StepDropout dropout{options.dropout, options.seed, static_cast<std::uint32_t>(step)};
  std::fill(buffers.sums.begin(), buffers.sums.end(), 0);

  PassTotals totals;
  const auto count = static_cast<std::int64_t>(sequences.size());
  const std::int64_t passes = (count + options.micro_batch - 1) / options.micro_batch;
  const StepScale scale_of_step{target_tokens, kFixedPointLimit / static_cast<float>(std::max<std::int64_t>(1, passes))};
  for (std::int64_t first = 0; first < passes; first += data.size()) {
    const std::span<const Sequence> mine = sequences_of_pass(sequences, first + data.rank(), options.micro_batch);
    if (mine.empty()) {
      forward_backward(model, Pass{}, dropout, 0.0F, buffers.grads);  // the others need this rank's part of the base
    } else {
      run_pass(model, mine, samples, dropout, scale_of_step, buffers, totals);
    }
  }
  data.all_reduce(buffers.sums, Reduce::sum, WireKind::adapter_gradient);
  std::array<std::int64_t, 3> shared = {totals.loss, totals.bad, stop_asked_here ? 1 : 0};
  data.all_reduce(shared, Reduce::sum, WireKind::control);

  result.stop_asked = shared[2] > 0;
  result.loss = static_cast<double>(shared[0]) * kLossUnit;
  result.grad_norm = std::sqrt(fixed_point_read(view(buffers.sums), view(buffers.grads), model.stream));
  if (shared[1] > 0 || !std::isfinite(result.grad_norm)) {
    result.finite = false;
    result.bad_samples = join_lists(data, totals.bad_samples);
    return result;
  }
  // torch.nn.utils.clip_grad_norm_ adds 1e-6 to the norm it divides by
  const double clip = options.max_grad_norm > 0.0 ? options.max_grad_norm / (result.grad_norm + 1e-6) : 1.0;
  if (clip < 1.0) {
    scale(view(buffers.grads), static_cast<float>(clip), model.stream);
  }
  adamw(view(buffers.params), view(buffers.grads), view(buffers.m), view(buffers.v),
        {optimizer_step, learning_rate, options.beta1, options.beta2, options.eps, options.weight_decay}, model.stream);
  return result;
}

}  // namespace lora_dist

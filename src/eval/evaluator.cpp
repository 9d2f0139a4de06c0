// Every rank computes its micro-batches and gathers all losses; rank 0's result is broadcast.
#include "src/eval/evaluator.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "src/core/elapsed.h"
#include "src/core/error.h"
#include "src/core/fault_point.h"
#include "src/job/make_micro_batch.h"

namespace lora_dist {

namespace {

/// This rank's losses of a round, [in_flight]; 0 without a micro-batch.
std::vector<double> losses_of_round(const ForwardContext& model, std::span<const Sequence> sequences,
                                    std::span<const Sample> samples, const Deal& deal, int rank, std::int64_t round) {
  fault_point("evaluate");
  std::vector<double> losses = forward_loss(
      model, make_micro_batches(sequences_of_round(deal, sequences, rank, round), samples, model.layout->virtual_tokens));
  losses.resize(static_cast<std::size_t>(deal.in_flight));
  return losses;
}

/// The sum of all losses in micro-batch order, on every rank. mine: [rounds * in_flight]
double sum_of_all(Communicator& data, const Deal& deal, std::span<const double> mine) {
  std::vector<double> all(mine.size() * static_cast<std::size_t>(deal.ranks));  // [ranks, rounds * in_flight]
  data.all_gather(std::as_bytes(mine), std::as_writable_bytes(std::span(all)), WireKind::control);
  double sum = 0.0;
  for (std::int64_t i = 0; i < deal.micro_batches; ++i) {
    const auto rank = static_cast<std::size_t>(i % deal.ranks);
    sum += all[rank * mine.size() + static_cast<std::size_t>(i / deal.ranks)];
  }
  return sum;
}

}  // namespace

Evaluation evaluate(const ForwardContext& model, Communicator& data, std::span<const Sequence> sequences,
                    std::span<const Sample> samples, std::int64_t micro_batch,
                    const std::function<void(std::int64_t, std::int64_t)>& on_progress) {
  const auto start = Clock::now();
  Evaluation result;
  for (const Sequence& sequence : sequences) {
    for (const std::int32_t index : sequence) {
      ++result.samples;
      result.target_tokens += target_tokens(samples[static_cast<std::size_t>(index)], model.layout->virtual_tokens);
    }
  }
  const Deal deal{count_micro_batches(sequences, micro_batch), micro_batch, static_cast<std::int64_t>(most_in_flight(model)),
                  data.size()};
  std::vector<double> mine;
  for (std::int64_t round = 0; round < deal.rounds(); ++round) {
    const std::vector<double> losses = losses_of_round(model, sequences, samples, deal, data.rank(), round);
    mine.insert(mine.end(), losses.begin(), losses.end());
    if (on_progress) {
      on_progress(std::min(deal.micro_batches, (round + 1) * deal.of_round()), deal.micro_batches);
    }
  }
  const double sum = sum_of_all(data, deal, mine);
  result.loss = sum / static_cast<double>(std::max<std::int64_t>(1, result.target_tokens));
  data.broadcast(std::as_writable_bytes(std::span(&result.loss, 1)), 0, WireKind::control);
  if (!std::isfinite(result.loss)) {
    throw Error(ExitCode::non_finite, "the evaluation's loss is not finite; the weights or the adapter are damaged",
                ErrorScope::collective);
  }
  result.perplexity = std::exp(result.loss);
  result.seconds = seconds_since(start);
  return result;
}

}  // namespace lora_dist

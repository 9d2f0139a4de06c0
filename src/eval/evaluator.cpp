// Passes of validation data from rank 0 to the ranks, and their losses back.
#include "src/eval/evaluator.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

#include "src/core/error.h"
#include "src/core/fault_point.h"
#include "src/job/pass_of.h"

namespace lora_dist {

namespace {

/// Rank 0's side: which pass comes next, and what came back.
struct Director {
  std::int64_t passes = 0;
  std::int64_t next = 0;
  std::vector<double> losses;  // per pass

  /// A pass for every rank; -1 for those that only serve.
  std::vector<std::int64_t> hand_out(int ranks) {
    std::vector<std::int64_t> work(static_cast<std::size_t>(ranks), -1);
    for (std::int64_t& pass : work) {
      pass = next < passes ? next++ : -1;
    }
    return work;
  }

  void collect(std::span<const std::int64_t> work, std::span<const double> results) {
    for (std::size_t rank = 0; rank < work.size(); ++rank) {
      if (work[rank] >= 0) {
        losses[static_cast<std::size_t>(work[rank])] = results[rank];
      }
    }
  }
};

double loss_of_pass(const Transformer& model, std::span<const Sequence> sequences, std::span<const Sample> samples,
                    std::int64_t micro_batch, std::int64_t pass) {
  fault_point("evaluate");
  if (pass < 0) {
    return forward_loss(model, Pass{});
  }
  const auto first = static_cast<std::size_t>(pass * micro_batch);
  const Batch batch =
      make_batch(sequences.subspan(first, std::min(static_cast<std::size_t>(micro_batch), sequences.size() - first)), samples);
  return forward_loss(model, pass_of(batch));
}

}  // namespace

Evaluation evaluate(const Transformer& model, Communicator& data, std::span<const Sequence> sequences,
                    std::span<const Sample> samples, std::int64_t micro_batch,
                    const std::function<void(std::int64_t, std::int64_t)>& on_progress) {
  const auto start = std::chrono::steady_clock::now();
  Evaluation result;
  for (const Sequence& sequence : sequences) {
    for (const std::int32_t index : sequence) {
      ++result.samples;
      result.target_tokens += trained_tokens(samples[static_cast<std::size_t>(index)]);
    }
  }
  Director director;
  director.passes = (static_cast<std::int64_t>(sequences.size()) + micro_batch - 1) / micro_batch;
  director.losses.assign(static_cast<std::size_t>(director.passes), 0.0);
  std::vector<double> results(static_cast<std::size_t>(data.size()));
  for (std::int64_t done = 0; done < director.passes; done = std::min(director.passes, done + data.size())) {
    std::vector<std::int64_t> work(results.size());
    if (data.rank() == 0) {
      work = director.hand_out(data.size());
    }
    data.broadcast(std::as_writable_bytes(std::span(work)), 0, WireKind::control);
    const double loss = loss_of_pass(model, sequences, samples, micro_batch, work[static_cast<std::size_t>(data.rank())]);
    data.all_gather(std::as_bytes(std::span(&loss, 1)), std::as_writable_bytes(std::span(results)), WireKind::control);
    if (data.rank() == 0) {
      director.collect(work, results);
    }
    if (on_progress) {
      on_progress(std::min(director.passes, done + data.size()), director.passes);
    }
  }
  double sum = 0.0;
  for (const double loss : director.losses) {  // in the order of the passes, whoever computed them
    sum += loss;
  }
  result.loss = sum / static_cast<double>(std::max<std::int64_t>(1, result.target_tokens));
  data.broadcast(std::as_writable_bytes(std::span(&result.loss, 1)), 0, WireKind::control);
  if (!std::isfinite(result.loss)) {
    throw Error(ExitCode::non_finite, "the evaluation's loss is not finite; the weights or the adapter are damaged",
                Noticed::every_rank);
  }
  result.perplexity = std::exp(result.loss);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace lora_dist

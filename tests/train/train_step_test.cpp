// A training step and an evaluation on meshes of different sizes give the same bits; gradients that are not finite.
#include "src/train/train_step.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "src/comm/single_rank.h"
#include "src/core/error.h"
#include "src/eval/evaluator.h"
#include "src/job/make_micro_batch.h"
#include "tests/support/model_fixture.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::train_step_test {
namespace {

using test::OpenedModel;
using test::source;

/// Eleven samples of different lengths, some with masked prompts; two share a sequence.
struct Rows {
  std::vector<TokenizedRow> tokens;
  std::vector<Sample> samples;
  std::vector<Sequence> sequences;

  Rows() {
    for (std::int32_t i = 0; i < 11; ++i) {
      TokenizedRow& row = tokens.emplace_back();
      for (std::int32_t t = 0; t < 6 + 3 * i; ++t) {
        row.input_ids.push_back((7 + 31 * i + 17 * t) % 512);
        row.labels.push_back(t < i ? kNotTrained : row.input_ids.back());
      }
    }
    for (const TokenizedRow& row : tokens) {
      samples.push_back({static_cast<std::int64_t>(samples.size()), row.input_ids, row.labels});
    }
    for (std::int32_t i = 0; i + 1 < 11; ++i) {
      sequences.push_back({i});
    }
    sequences.front().push_back(10);
  }
};

/// A model with buffers for training.
struct Trained {
  explicit Trained(Communicator& comm, float dropout = 0.1F, int in_flight = 1, Recompute recompute = Recompute::block)
      : spec{4, 8.0, static_cast<double>(dropout), false, {"all-linear"}},
        opened(source("demo/model"), {Quantization::nf4}, comm, 256, recompute, &spec, 0, true, in_flight) {
    const auto n = static_cast<std::size_t>(opened.layout.count);
    initialize_adapters(opened.layout, 1, opened.params);
    m.assign(n, 0.0F);
    v.assign(n, 0.0F);
    grads.assign(static_cast<std::size_t>(in_flight), std::vector<float>(n, 0.0F));
    sums.assign(n, 0);
    options.micro_batch = 2;
    options.dropout = dropout;
    options.seed = 5;
  }
  /// One step without TP; `comm` deals the micro-batches and sums their gradients.
  StepResult step(Communicator& comm, const Rows& rows, std::int64_t index = 0, const std::function<bool()>& abort = {},
                  const std::function<void(std::int64_t, std::int64_t)>& tell_done = {}) {
    TrainedBuffers buffers{opened.params, m, v, grads.front(), sums, opened.params, sums, {}};
    buffers.part_grads.assign(grads.begin(), grads.end());
    LossScale unused;
    return train_step({.model = opened.transformer(),
                       .part = AdapterShard{},
                       .ranks = {comm, comm, comm},
                       .buffers = buffers,
                       .sequences = rows.sequences,
                       .samples = rows.samples,
                       .options = options,
                       .step = index,
                       .optimizer_step = index + 1,
                       .learning_rate = 1e-2,
                       .abort = abort,
                       .tell_done = tell_done},
                      unused);
  }

  AdapterSpec spec;
  OpenedModel opened;
  std::vector<float> m, v;
  std::vector<std::vector<float>> grads;  // per micro-batch in flight
  std::vector<std::int64_t> sums;
  StepOptions options;
};

struct Outcome {
  std::vector<double> losses;
  std::vector<float> params;
  double evaluation = 0.0;
};

Outcome three_steps(Communicator& comm, const Rows& rows, int in_flight = 1, Recompute recompute = Recompute::block) {
  Trained trained(comm, 0.1F, in_flight, recompute);
  Outcome outcome;
  for (std::int64_t step = 0; step < 3; ++step) {
    const StepResult result = trained.step(comm, rows, step);
    EXPECT_TRUE(result.finite);
    outcome.losses.push_back(result.loss);
    outcome.losses.push_back(result.grad_norm);
  }
  outcome.evaluation = evaluate(trained.opened.transformer(), comm, rows.sequences, rows.samples, 2).loss;
  outcome.params = trained.opened.params;
  return outcome;
}

TEST(TrainStep, SameBitsOnEveryNumberOfRanks) {
  const Rows rows;
  const auto single = make_single_rank();
  const Outcome expected = three_steps(*single, rows);
  EXPECT_LT(expected.losses[4], expected.losses[0]);  // the loss falls
  for (const int ranks : {2, 3, 4, 8}) {              // with 8 ranks and 5 micro-batches, three ranks only join gathers
    test::on_ranks(ranks, [&](Communicator& comm) {
      const Outcome outcome = three_steps(comm, rows);
      EXPECT_EQ(outcome.losses, expected.losses) << ranks << " ranks";
      EXPECT_EQ(outcome.params, expected.params) << ranks << " ranks";
      EXPECT_EQ(outcome.evaluation, expected.evaluation) << ranks << " ranks";
    });
  }
}

/// The loss is the sum over target tokens of the whole global batch divided by their number, for any micro-batch size.
TEST(TrainStep, LossIsTheMeanOverTargetTokens) {
  const Rows rows;
  const auto comm = make_single_rank();
  Trained trained(*comm, 0.0F);
  double sum = 0.0;
  std::int64_t targets = 0;
  for (const Sequence& sequence : rows.sequences) {
    const MicroBatch batch = make_micro_batch(std::span(&sequence, 1), rows.samples);
    sum += test::loss_of(trained.opened.transformer(), batch);
    targets += batch.target_tokens();
  }
  for (const std::int64_t micro_batch : {1, 2, 3}) {
    Trained again(*comm, 0.0F);
    again.options.micro_batch = micro_batch;
    const StepResult result = again.step(*comm, rows);
    EXPECT_EQ(result.target_tokens, targets);
    EXPECT_NEAR(result.loss, sum / static_cast<double>(targets), 1e-6);  // sums of fp32 token losses in another order
  }
}

TEST(TrainStep, ClipsByTheGlobalNorm) {
  const Rows rows;
  const auto comm = make_single_rank();
  Trained trained(*comm, 0.0F);
  trained.options.max_grad_norm = 1e-3;
  const StepResult result = trained.step(*comm, rows);
  EXPECT_GT(result.grad_norm, 1e-3);  // before clipping
  double square = 0.0;
  for (const float g : trained.grads.front()) {
    square += static_cast<double>(g) * static_cast<double>(g);
  }
  EXPECT_NEAR(std::sqrt(square), 1e-3, 1e-6);
}

TEST(TrainStep, NothingOfANonFiniteStepReachesTheAdapter) {
  const Rows rows;
  test::on_ranks(2, [&](Communicator& comm) {
    Trained trained(comm);
    trained.opened.params[3] = std::numeric_limits<float>::infinity();
    const std::vector<float> before = trained.opened.params;
    const StepResult result = trained.step(comm, rows);
    EXPECT_FALSE(result.finite);
    EXPECT_EQ(result.bad_samples.size(), rows.samples.size());  // every micro-batch overflowed, on all ranks
    EXPECT_EQ(trained.opened.params, before);
    EXPECT_EQ(trained.m, std::vector<float>(before.size(), 0.0F));
  });
}

/// For any number of micro-batches in flight and any recompute setting, each micro-batch has the same bits as alone.
TEST(TrainStep, SameBitsForEveryNumberOfMicroBatchesInFlight) {
  const Rows rows;
  const auto single = make_single_rank();
  const Outcome expected = three_steps(*single, rows);
  for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::block}) {
    for (const int in_flight : {2, 3, 8}) {  // of five micro-batches
      const Outcome outcome = three_steps(*single, rows, in_flight, recompute);
      EXPECT_EQ(outcome.losses, expected.losses) << in_flight;
      EXPECT_EQ(outcome.params, expected.params) << in_flight;
      EXPECT_EQ(outcome.evaluation, expected.evaluation) << in_flight;
    }
  }
  for (const int ranks : {2, 3}) {  // three of two, one of three: the last round is not full, and a rank may have no micro-batch
    test::on_ranks(ranks, [&](Communicator& comm) {
      const Outcome outcome = three_steps(comm, rows, 2);
      EXPECT_EQ(outcome.losses, expected.losses) << ranks << " ranks";
      EXPECT_EQ(outcome.params, expected.params) << ranks << " ranks";
      EXPECT_EQ(outcome.evaluation, expected.evaluation) << ranks << " ranks";
    });
  }
}

/// A block is gathered and dequantized once for all micro-batches in flight.
TEST(TrainStep, MicroBatchesInFlightShareGathersAndDequantization) {
  const Rows rows;
  test::on_ranks(2, [&](Communicator& comm) {
    Trained trained(comm, 0.0F, 3);  // five micro-batches on two ranks: one round
    const WireBytes before = comm.wire();
    trained.step(comm, rows);
    const FrozenBase& base = trained.opened.base;
    const std::int64_t fetched = 10 - 2;  // five blocks up and five down; at the turn two are still in the slots
    EXPECT_EQ(comm.wire()[WireKind::base_gather] - before[WireKind::base_gather],
              base.layouts[0].slice_bytes * fetched + base.head.slice_bytes(0));
    EXPECT_EQ(trained.opened.window->blocks_dequantized(), fetched);
  });
}

TEST(TrainStep, AnAbortedStepLeavesNoState) {
  const Rows rows;
  test::on_ranks(2, [&](Communicator& comm) {
    Trained trained(comm);
    const std::vector<float> before = trained.opened.params;
    int asked = 0;
    const StepResult result = trained.step(comm, rows, 0, [&] { return ++asked == 2; });
    EXPECT_TRUE(result.aborted);
    EXPECT_EQ(asked, 2);  // after two of three rounds
    EXPECT_EQ(trained.opened.params, before);
    EXPECT_EQ(trained.m, std::vector<float>(before.size(), 0.0F));
  });
}

TEST(TrainStep, TellsWhereItIsOnTheRankThatAsks) {
  const Rows rows;
  test::on_ranks(2, [&](Communicator& comm) {
    Trained trained(comm);
    Trained untold(comm);
    std::vector<std::pair<std::int64_t, std::int64_t>> told;
    const auto tell = [&](std::int64_t done, std::int64_t all) { told.emplace_back(done, all); };
    trained.step(comm, rows, 0, {}, comm.rank() == 0 ? tell : std::function<void(std::int64_t, std::int64_t)>());
    untold.step(comm, rows);
    EXPECT_EQ(trained.opened.params, untold.opened.params);
    if (comm.rank() == 0) {
      EXPECT_EQ(told, (std::vector<std::pair<std::int64_t, std::int64_t>>{{2, 5}, {4, 5}}));
    }
  });
}

/// Only the adapter's gradient crosses the network: 8 bytes per element, once per step.
TEST(TrainStep, BytesOnTheWire) {
  const Rows rows;
  test::on_ranks(2, [&](Communicator& comm) {
    Trained trained(comm);
    const WireBytes before = comm.wire();
    trained.step(comm, rows);
    EXPECT_EQ(comm.wire()[WireKind::adapter_gradient] - before[WireKind::adapter_gradient], 8 * trained.opened.layout.count);
    const std::int64_t slice = trained.opened.base.layouts[0].slice_bytes;
    // 3 rounds of 5 blocks up and 5 down; at the turn two blocks are still in the slots. The tied table is one chunk, and stays
    // in its slot.
    EXPECT_EQ(comm.wire()[WireKind::base_gather] - before[WireKind::base_gather],
              slice * (3 * 10 - 2 * 5) + trained.opened.base.head.slice_bytes(0));
    EXPECT_EQ(comm.wire()[WireKind::tensor_activation], 0);
  });
}

TEST(Evaluator, ANonFiniteLossIsAnError) {
  const Rows rows;
  const auto comm = make_single_rank();
  Trained trained(*comm, 0.0F);
  trained.opened.params[3] = std::numeric_limits<float>::infinity();
  try {
    evaluate(trained.opened.transformer(), *comm, rows.sequences, rows.samples, 2);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::non_finite);
    EXPECT_EQ(error.scope(), ErrorScope::collective);
  }
}

}  // namespace
}  // namespace lora_dist::train_step_test

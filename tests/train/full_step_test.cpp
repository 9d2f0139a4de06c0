// A step of full fine-tuning: the same bits on meshes of different sizes; nothing of a step that is not finite or that is
// aborted; bytes on the wire.
#include <gtest/gtest.h>

#include <limits>

#include "src/base/trained_pieces.h"
#include "src/comm/single_rank.h"
#include "src/eval/evaluator.h"
#include "src/train/train_step.h"
#include "src/transformer/base_gradients.h"
#include "tests/support/model_fixture.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::full_step_test {
namespace {

using test::OpenedModel;
using test::source;

struct Rows {
  std::vector<TokenizedRow> tokens;
  std::vector<Sample> samples;
  std::vector<Sequence> sequences;

  Rows() {
    for (std::int32_t i = 0; i < 9; ++i) {
      TokenizedRow& row = tokens.emplace_back();
      for (std::int32_t t = 0; t < 6 + 3 * i; ++t) {
        row.input_ids.push_back((7 + 31 * i + 17 * t) % 512);
        row.labels.push_back(t < i ? kNotTrained : row.input_ids.back());
      }
      sequences.push_back({i});
    }
    for (const TokenizedRow& row : tokens) {
      samples.push_back({static_cast<std::int64_t>(samples.size()), row.input_ids, row.labels});
    }
  }
};

AdapterSpec full_spec() {
  AdapterSpec spec;
  spec.method = &full_method();
  return spec;
}

struct Trained {
  explicit Trained(Communicator& comm, int in_flight = 1)
      : spec(full_spec()),
        opened(source("demo/model"), {Quantization::none}, comm, 256, Recompute::block, &spec, 8192, true, in_flight) {
    const auto n = static_cast<std::size_t>(opened.layout.count);
    opened.params.assign(n, 1.0F);  // the norms
    m.assign(n, 0.0F);
    v.assign(n, 0.0F);
    grads.assign(static_cast<std::size_t>(in_flight), std::vector<float>(n, 0.0F));
    sums.assign(n, 0);
    options.micro_batch = 2;
    options.weight_decay = 0.1;
    options.max_grad_norm = 0.5;
  }

  StepResult step(Communicator& comm, const Rows& rows, std::int64_t index = 0, const std::function<bool()>& abort = {}) {
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
                       .trained = &opened.trained,
                       .abort = abort},
                      unused);
  }

  /// This rank's values and moments.
  std::vector<float> state() const {
    std::vector<float> all(opened.trained.m.begin(), opened.trained.m.end());
    all.insert(all.end(), opened.trained.v.begin(), opened.trained.v.end());
    for (const TrainedUnit* unit : all_units(opened.trained)) {
      all.insert(all.end(), unit->values.begin(), unit->values.end());
    }
    all.insert(all.end(), opened.params.begin(), opened.params.end());
    return all;
  }

  AdapterSpec spec;
  OpenedModel opened;
  std::vector<float> m, v;
  std::vector<std::vector<float>> grads;
  std::vector<std::int64_t> sums;
  StepOptions options;
};

struct Outcome {
  std::vector<double> numbers;  // losses and norms of steps, and an evaluation
  std::vector<float> params;    // of the flat buffer
};

Outcome three_steps(Communicator& comm, const Rows& rows, int in_flight = 1) {
  Trained trained(comm, in_flight);
  Outcome outcome;
  for (std::int64_t step = 0; step < 3; ++step) {
    const StepResult result = trained.step(comm, rows, step);
    EXPECT_TRUE(result.finite);
    outcome.numbers.push_back(result.loss);
    outcome.numbers.push_back(result.grad_norm);
  }
  outcome.numbers.push_back(evaluate(trained.opened.transformer(), comm, rows.sequences, rows.samples, 2).loss);
  outcome.params = trained.opened.params;
  return outcome;
}

TEST(FullStep, SameBitsOnEveryNumberOfRanks) {
  const Rows rows;
  const auto single = make_single_rank();
  const Outcome expected = three_steps(*single, rows);
  EXPECT_LT(expected.numbers[4], expected.numbers[0]);  // the loss falls
  for (const int ranks : {2, 3, 8}) {                   // of 8 ranks three have no micro-batch
    for (const int in_flight : {1, 2}) {
      test::on_ranks(ranks, [&](Communicator& comm) {
        const Outcome outcome = three_steps(comm, rows, in_flight);
        EXPECT_EQ(outcome.numbers, expected.numbers) << ranks << " ranks";
        EXPECT_EQ(outcome.params, expected.params) << ranks << " ranks";
      });
    }
  }
}

TEST(FullStep, NothingOfANonFiniteStepReachesTheBase) {
  const Rows rows;
  test::on_ranks(2, [&](Communicator& comm) {
    Trained trained(comm);
    trained.opened.params[3] = std::numeric_limits<float>::infinity();
    const std::vector<float> before = trained.state();
    const StepResult result = trained.step(comm, rows);
    EXPECT_FALSE(result.finite);
    EXPECT_EQ(result.bad_samples.size(), rows.samples.size());
    EXPECT_EQ(trained.state(), before);
  });
}

TEST(FullStep, AnAbortedStepLeavesNoState) {
  const Rows rows;
  test::on_ranks(2, [&](Communicator& comm) {
    Trained trained(comm);
    Trained undisturbed(comm);
    const std::vector<float> before = trained.state();
    int asked = 0;
    EXPECT_TRUE(trained.step(comm, rows, 0, [&] { return ++asked == 2; }).aborted);
    EXPECT_EQ(trained.state(), before);
    trained.step(comm, rows);
    undisturbed.step(comm, rows);
    EXPECT_EQ(trained.state(), undisturbed.state());
  });
}

/// Every block and chunk once per round of micro-batches, 8 bytes an element, and the small tensors once per step.
TEST(FullStep, BytesOnTheWire) {
  const Rows rows;
  test::on_ranks(2, [&](Communicator& comm) {
    Trained trained(comm);
    const std::int64_t before = comm.wire()[WireKind::adapter_gradient];
    trained.step(comm, rows);
    std::int64_t elements = 0;
    const TrainedBase& base = trained.opened.trained;
    for (const TrainedUnit* unit : all_units(base)) {
      elements += unit->slice * comm.size();
    }
    for (const TrainedUnit& unit : base.embedding) {  // tied: from the head, too
      elements += unit.slice * comm.size();
    }
    constexpr std::int64_t kRounds = 3;  // five micro-batches on two ranks
    EXPECT_EQ(comm.wire()[WireKind::adapter_gradient] - before, 8 * (kRounds * elements + trained.opened.layout.count));
  });
}

}  // namespace
}  // namespace lora_dist::full_step_test

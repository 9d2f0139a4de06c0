// What a step does, beside sums made by hand and the window itself.
#include "src/plan/step_work.h"

#include <gtest/gtest.h>

#include "src/comm/done_collective.h"
#include "src/core/error.h"
#include "src/model/family.h"
#include "src/transformer/transformer.h"
#include "tests/plan/plan_fixture.h"

namespace lora_dist {
namespace {

using test::folder_model;
using test::shipped_model;

PlanTarget h100() {
  PlanOptions options;
  options.device = "h100";
  return choose_target(options, {});
}

/// A group of `size` that counts what is handed to it and moves nothing.
class Counting final : public Communicator {
 public:
  explicit Counting(int size) : size_(size) {}
  int rank() const override { return 0; }
  int size() const override { return size_; }
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> /*all*/, WireKind kind) override {
    wire_[kind] += static_cast<std::int64_t>(mine.size());
    ++calls;
  }
  std::unique_ptr<PendingCollective> start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                                                      WireKind kind) override {
    all_gather(mine, all, kind);
    return std::make_unique<DoneCollective>();
  }
  void all_reduce(std::span<std::int64_t> /*values*/, Reduce /*op*/, WireKind /*kind*/) override {}
  void all_reduce(std::span<double> /*values*/, Reduce /*op*/, WireKind /*kind*/) override {}
  void all_reduce_sum(const TensorView& /*values*/, WireKind /*kind*/) override {}
  void reduce_scatter_sum(const TensorView& /*values*/, WireKind /*kind*/) override {}
  void broadcast(std::span<std::byte> /*data*/, int /*root*/, WireKind /*kind*/) override {}
  void barrier() override {}
  std::unique_ptr<Communicator> split(int /*color*/) override { return nullptr; }
  const WireBytes& wire() const override { return wire_; }

  std::int64_t calls = 0;

 private:
  int size_;
  WireBytes wire_;
};

/// A rank without work walks through embedding, blocks and head: forward and backward, twice.
void expect_fetches_of_the_window(const char* name, std::int64_t layers, std::int64_t vocab) {
  PlannedModel model = shipped_model(name);
  model.spec.layers = layers;
  model.spec.vocab = vocab;
  const TensorNames& names = model.spec.family->names;
  for (const std::string_view table : {names.embedding, names.heads[0]}) {
    if (const auto at = model.directory.tensors.find(std::string(table) + ".weight"); at != model.directory.tensors.end()) {
      at->second.shape[0] = vocab;
    }
  }
  model.layout = make_adapter_layout(model.spec, {8, 16.0, 0.0, false, {"all-linear"}});
  const PlanTarget target;
  const auto rank = plan_rank(model, target, {3, 1, 3}, 0);
  Counting shards(3);
  Arena nowhere(Stream{}, Arena::Place::nowhere);
  WeightWindow window(rank->base, shards, nowhere, Stream{}, DType::f32);
  Workspace workspace;
  workspace.in_flight.resize(1);
  const std::vector<MicroBatch> none(1);
  const std::vector<std::span<float>> no_grads(1);
  const ForwardContext transformer{&rank->base, &rank->part.layout, &window, &workspace, {}, Stream{}};
  forward_backward(transformer, none, {}, {}, no_grads);
  const std::int64_t calls = shards.calls;
  const std::int64_t bytes = shards.wire()[WireKind::base_gather];
  forward_backward(transformer, none, {}, {}, no_grads);
  const MicroBatchWork work = work_of_micro_batch(model, target, *rank, step_shape(model.config, {}));
  std::int64_t fetches = 0;
  std::int64_t slice_bytes = 0;
  for (const FetchWork* each : {&work.blocks, &work.embedding, &work.head}) {
    fetches += each->fetches;
    slice_bytes += each->slice_bytes;
    EXPECT_EQ(each->bytes, 3 * each->slice_bytes);
  }
  EXPECT_EQ(fetches, shards.calls - calls) << name << " " << layers << " " << vocab;
  EXPECT_EQ(slice_bytes, shards.wire()[WireKind::base_gather] - bytes) << name << " " << layers << " " << vocab;
  EXPECT_GT(calls, 0);
}

TEST(MicroBatchWork, FetchesAreThoseOfTheWindow) {
  for (const int layers : {1, 2, 3, 4, 7}) {
    expect_fetches_of_the_window("gpt2", layers, 50257);
  }
  for (const char* name : {"gpt2", "llama2_7b"}) {  // one table, and two
    for (const std::int64_t vocab : {500, 6000, 12000, 20000}) {
      expect_fetches_of_the_window(name, 3, vocab);
    }
  }
}

/// Llama 2 7B: 32 * (4 * 4096^2 + 3 * 4096 * 11008) weights in blocks, 32000 * 4096 in the head; r 16 on q, k, v and o.
TEST(MicroBatchWork, FlopsOfLlama2) {
  const PlannedModel model = shipped_model("llama2_7b");
  const StepShape step = step_shape(model.config, {});
  const auto rank = plan_rank(model, h100(), {1, 1, 1}, 0);
  const MicroBatchWork work = work_of_micro_batch(model, h100(), *rank, step);
  const double tokens = 4.0 * 1024.0;
  const double block = 4.0 * 4096 * 4096 + 3.0 * 4096 * 11008;
  const double factors = 4.0 * 16 * (4096 + 4096);
  const double keys = 4096.0 * 1025.0 / 2.0;  // of all heads
  EXPECT_DOUBLE_EQ(work.forward_flops, 32.0 * tokens * (2.0 * block + 2.0 * factors + 4.0 * keys));
  const double again = 31.0 * tokens * (2.0 * (block - 4096.0 * 11008) + 2.0 * factors + 4.0 * keys);
  EXPECT_NEAR(work.backward_flops, 32.0 * tokens * (2.0 * block + 4.0 * factors + 10.0 * keys) + again,
              1e-9 * work.backward_flops);
  EXPECT_DOUBLE_EQ(work.head_flops, 4.0 * (4.0 * 1023.0) * 32000.0 * 4096.0);
  EXPECT_EQ(work.tensor.bytes(), 0);
  EXPECT_EQ(work.blocks.fetches, 60);
}

TEST(MicroBatchWork, TensorRanksShareIt) {
  const PlannedModel model = shipped_model("llama2_7b");
  const StepShape step = step_shape(model.config, {});
  const MicroBatchWork whole = work_of_micro_batch(model, h100(), *plan_rank(model, h100(), {1, 1, 1}, 0), step);
  MicroBatchWork sum;
  for (int t = 0; t < 4; ++t) {
    const MicroBatchWork part = work_of_micro_batch(model, h100(), *plan_rank(model, h100(), {1, 4, 1}, t), step);
    sum.head_flops += part.head_flops;
    sum.dequantized_bytes += part.dequantized_bytes;
    sum.forward_flops += part.forward_flops;
    // 1 of the embedding, 2 forward and 2 backward of each block (1 of the lowest), 1 again of all but the last, 1 of the head
    EXPECT_EQ(part.tensor.sums, 1 + 2 * 32 + 2 * 31 + 1 + 31 + 1);
  }
  EXPECT_DOUBLE_EQ(sum.head_flops, whole.head_flops);
  EXPECT_NEAR(sum.dequantized_bytes, whole.dequantized_bytes, 0.01 * whole.dequantized_bytes);  // scales of cut blocks
  EXPECT_NEAR(sum.forward_flops, whole.forward_flops, 0.01 * whole.forward_flops);              // uncut factors
}

TEST(MicroBatchWork, DividedRowsAreScatteredAndGathered) {
  PlannedModel model = shipped_model("llama2_7b");
  model.config.parallel.sequence_parallel = true;
  const StepShape step = step_shape(model.config, {});
  const TensorWork work = work_of_micro_batch(model, h100(), *plan_rank(model, h100(), {1, 4, 1}, 0), step).tensor;
  EXPECT_EQ(work.sums, 1);
  EXPECT_EQ(work.scatters, 1 + 2 * 32 + 2 * 31 + 1 + 31);
  // 2 forward and 2 backward of each block, 2 again of all but the last, 1 of the head; and the softmax
  EXPECT_EQ(work.gathers, 4 * 32 + 2 * 31 + 1 + 1);
  const std::int64_t state = 4 * 1024 * 4096 * 2;  // bf16
  EXPECT_EQ(work.scattered_bytes, work.scatters * state);
  EXPECT_EQ(work.gathered_bytes, (work.gathers - 1) * state / 4 + 4 * 1023 * 3 * 4);
}

TEST(MicroBatchWork, AWindowLeavesFewerKeys) {
  PlannedModel model = folder_model("tests/golden/families/mistral_window", {"data.max_length=100"});
  const PlanTarget target;
  const auto rank = plan_rank(model, target, {1, 1, 1}, 0);
  const double windowed = work_of_micro_batch(model, target, *rank, step_shape(model.config, {})).forward_flops;
  model.spec.layer_specs.clear();
  const double all = work_of_micro_batch(model, target, *rank, step_shape(model.config, {})).forward_flops;
  const double keys_all = 101.0 / 2.0;
  const double keys_windowed = (7.0 * 8.0 / 2.0 + 93.0 * 7.0) / 100.0;
  EXPECT_NEAR(all - windowed, 2.0 * 400.0 * 4.0 * 48.0 * (keys_all - keys_windowed), 1e-6 * all);  // 2 layers, 6 heads of 8
}

TEST(StepShape, FullSequencesUnlessItIsSaidOtherwise) {
  Config config;
  config.train.global_batch = 7;
  config.train.micro_batch = 2;
  StepShape step = step_shape(config, {});
  EXPECT_EQ(step.tokens(), 7 * 1024);
  EXPECT_EQ(step.targets(), 7 * 1023);
  EXPECT_EQ(step.passes(), 4);
  EXPECT_EQ(step.rounds(1), 4);
  EXPECT_EQ(step.rounds(3), 2);
  EXPECT_EQ(step.rounds(4096), 1);
  PlanOptions options;
  options.tokens_per_sample = 100;
  step = step_shape(config, options);
  EXPECT_EQ(step.samples_of_sequence, 10);
  EXPECT_EQ(step.targets(), 7 * (1024 - 10));
  config.data.packing = false;
  step = step_shape(config, options);
  EXPECT_EQ(step.sequence_tokens, 100);
  EXPECT_EQ(step.samples_of_sequence, 1);
}

TEST(StepShape, DividedRowsArePaddedPassByPass) {
  StepShape step;
  step.sequences = 7;
  step.micro_batch = 2;
  step.sequence_tokens = 5;
  EXPECT_EQ(step.divided_rows(1), 35);
  EXPECT_EQ(step.divided_rows(4), 3 * 12 + 8);  // micro-batches of 10, 10, 10 and 5 tokens
}

TEST(StepShape, ErrorsNameTheOption) {
  const auto message = [](std::int64_t of_sample, std::int64_t of_sequence) {
    PlanOptions options;
    options.tokens_per_sample = of_sample;
    options.tokens_per_sequence = of_sequence;
    try {
      step_shape(Config{}, options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(message(0, 2000), "--tokens-per-sequence 2000 is more than data.max_length (1024) allows");
  EXPECT_EQ(message(2000, 0), "--tokens-per-sample 2000 is more than a sequence has (data.max_length 1024)");
  EXPECT_EQ(message(600, 500), "--tokens-per-sample 600 is more than a sequence has (--tokens-per-sequence 500)");
}

}  // namespace
}  // namespace lora_dist

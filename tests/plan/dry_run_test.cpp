// The work of a step, compared with sums by hand, with ranks without work, and with verified numbers.
#include "src/plan/dry_run.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "src/model/family.h"
#include "src/transformer/transformer.h"
#include "tests/plan/dry_run_cases.h"
#include "tests/plan/plan_fixture.h"

namespace lora_dist::dry_run_test {
namespace {

using test::folder_model;
using test::PlannedCase;
using test::shipped_model;
using test::source;

PlanTarget h100() {
  PlanOptions options;
  options.device = "h100";
  return choose_target(options, {});
}

MicroBatchWork work_on(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, int tensor_rank = 0) {
  return work_of_micro_batch(*plan_rank(model, target, mesh, tensor_rank), step_shape(model.config, {}));
}

/// A rank without work walks through embedding, blocks and head: forward and backward, twice.
void expect_fetches_of_a_rank_without_work(const char* name, std::int64_t layers, std::int64_t vocab) {
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
  const auto idle = plan_rank(model, PlanTarget{}, {3, 1, 3}, 0);
  const std::vector<MicroBatch> none(1);
  forward_backward(context_of(*idle), none, {}, {}, idle->buffers.part_grads);
  const CollectiveCount first = idle->shards.count();
  forward_backward(context_of(*idle), none, {}, {}, idle->buffers.part_grads);
  const CollectiveCount second = idle->shards.count() - first;
  const MicroBatchWork work = work_on(model, PlanTarget{}, {3, 1, 3});
  CollectiveCount fetched;
  for (const FetchWork* each : {&work.blocks, &work.embedding, &work.head}) {
    fetched.gathers += each->fetches;
    fetched.gathered_bytes += each->slice_bytes;
    EXPECT_EQ(each->bytes, 3 * each->slice_bytes);
  }
  EXPECT_EQ(fetched.gathers, second.gathers) << name << " " << layers << " " << vocab;
  EXPECT_EQ(fetched.gathered_bytes, second.gathered_bytes) << name << " " << layers << " " << vocab;
  EXPECT_EQ(idle->shards.wire()[WireKind::base_gather], (first.gathered_bytes + second.gathered_bytes));
  EXPECT_GT(first.gathers, 0);
}

TEST(DryRun, ARankWithoutWorkFetchesTheSame) {
  for (const int layers : {1, 2, 3, 4, 7}) {
    expect_fetches_of_a_rank_without_work("gpt2", layers, 50257);
  }
  for (const char* name : {"gpt2", "llama2_7b"}) {  // one table, and two
    for (const std::int64_t vocab : {500, 6000, 12000, 20000}) {
      expect_fetches_of_a_rank_without_work(name, 3, vocab);
    }
  }
}

/// Llama 2 7B: 32 * (4 * 4096^2 + 3 * 4096 * 11008) weights in blocks, 32000 * 4096 in the head; r 16 on q, k, v and o.
TEST(DryRun, FlopsOfLlama2) {
  const MicroBatchWork work = work_on(shipped_model("llama2_7b"), h100(), {1, 1, 1});
  const double tokens = 4.0 * 1024.0;
  const double block = 4.0 * 4096 * 4096 + 3.0 * 4096 * 11008;
  const double factors = 4.0 * 16 * (4096 + 4096);
  const double keys = 4096.0 * 1025.0 / 2.0;  // over all heads
  EXPECT_DOUBLE_EQ(work.forward_flops, 32.0 * tokens * (2.0 * block + 2.0 * factors + 4.0 * keys));
  const double again = 31.0 * tokens * (2.0 * (block - 4096.0 * 11008) + 2.0 * factors + 4.0 * keys);
  const double not_wanted = tokens * 3.0 * (2.0 * 4096 * 4096 + 2.0 * 16 * 4096);  // dx of q, k and v in the lowest block
  EXPECT_NEAR(work.backward_flops, 32.0 * tokens * (2.0 * block + 4.0 * factors + 10.0 * keys) + again - not_wanted,
              1e-9 * work.backward_flops);
  EXPECT_DOUBLE_EQ(work.head_flops, 4.0 * (4.0 * 1023.0) * 32000.0 * 4096.0);
  EXPECT_EQ(work.tensor.bytes(), 0);
  EXPECT_EQ(work.blocks.fetches, 60);
}

TEST(DryRun, TensorRanksShareIt) {
  const PlannedModel model = shipped_model("llama2_7b");
  const MicroBatchWork whole = work_on(model, h100(), {1, 1, 1});
  MicroBatchWork sum;
  for (int t = 0; t < 4; ++t) {
    const MicroBatchWork part = work_on(model, h100(), {1, 4, 1}, t);
    sum.head_flops += part.head_flops;
    sum.dequantized_bytes += part.dequantized_bytes;
    sum.forward_flops += part.forward_flops;
    // 1 for the embedding, 2 forward and 2 backward per block (1 for the lowest), 1 again for all but the last, 1 for the head
    EXPECT_EQ(part.tensor.sums, 1 + 2 * 32 + 2 * 31 + 1 + 31 + 1);
  }
  EXPECT_DOUBLE_EQ(sum.head_flops, whole.head_flops);
  EXPECT_NEAR(sum.dequantized_bytes, whole.dequantized_bytes, 0.01 * whole.dequantized_bytes);  // scales of cut blocks
  EXPECT_NEAR(sum.forward_flops, whole.forward_flops, 0.01 * whole.forward_flops);              // uncut factors
}

TEST(DryRun, DividedRowsAreScatteredAndGathered) {
  const PlannedModel model = shipped_model("llama2_7b", {"parallel.sequence_parallel=true"});
  const CollectiveCount work = work_on(model, h100(), {1, 4, 1}).tensor;
  EXPECT_EQ(work.sums, 1);
  EXPECT_EQ(work.scatters, 1 + 2 * 32 + 2 * 31 + 1 + 31);
  // 2 forward and 2 backward per block, 2 again for all but the last, 1 for the head; and the softmax
  EXPECT_EQ(work.gathers, 4 * 32 + 2 * 31 + 1 + 1);
  const std::int64_t state = 4 * 1024 * 4096 * 2;  // bf16
  EXPECT_EQ(work.scattered_bytes, work.scatters * state);
  EXPECT_EQ(work.gathered_bytes, (work.gathers - 1) * state / 4 + 4 * 1023 * 3 * 4);
}

/// Micro-batches of 10, 10, 10 and 5 tokens on 4 ranks: rows are padded to 12 and 8.
TEST(DryRun, DividedRowsArePaddedMicroBatchByMicroBatch) {
  const PlannedModel model = folder_model("tests/golden/families/exaone4_hybrid", {"parallel.sequence_parallel=true"});
  StepShape step;
  step.sequences = 7;
  step.micro_batch = 2;
  step.sequence_tokens = step.sample_tokens = 5;
  const auto work_of = [&](std::int64_t micro_batch) {
    step.micro_batch = micro_batch;
    return work_of_micro_batch(*plan_rank(model, PlanTarget{}, {1, 4, 1}, 0), step);
  };
  const MicroBatchWork two = work_of(2);
  const MicroBatchWork one = work_of(1);
  const std::int64_t state = model.spec.hidden * static_cast<std::int64_t>(sizeof(float));
  EXPECT_EQ(two.tensor.scattered_bytes, two.tensor.scatters * 12 * state);
  EXPECT_EQ(one.tensor.scattered_bytes, one.tensor.scatters * 8 * state);
  EXPECT_EQ(two.rest_bytes, one.tensor.bytes());
  EXPECT_EQ(one.rest_bytes, 0);
  step.micro_batch = 2;
  const std::vector<MicroBatchWork> works(4, two);
  EXPECT_EQ(wire_of_step(model, {1, 4, 1}, step, works)[WireKind::tensor_activation],
            4 * (3 * two.tensor.bytes() + one.tensor.bytes()));
}

TEST(DryRun, AWindowLeavesFewerKeys) {
  PlannedModel model = folder_model("tests/golden/families/mistral_window", {"data.max_length=100"});
  const double windowed = work_on(model, PlanTarget{}, {1, 1, 1}).forward_flops;
  model.spec.layer_specs.clear();
  const double all = work_on(model, PlanTarget{}, {1, 1, 1}).forward_flops;
  const double keys_all = 101.0 / 2.0;
  const double keys_windowed = (7.0 * 8.0 / 2.0 + 93.0 * 7.0) / 100.0;
  EXPECT_NEAR(all - windowed, 2.0 * 400.0 * 4.0 * 48.0 * (keys_all - keys_windowed), 1e-6 * all);  // 2 layers, 6 heads of 8
}

/// The last product of a block runs again if its norm follows it, and the first one of its factors if it is adapted.
TEST(DryRun, RecomputationIsThatOfTheBlock) {
  const auto again = [](const PlannedModel& model) {
    PlannedModel without = model;
    without.config.train.recompute = Recompute::none;
    return work_on(model, PlanTarget{}, {1, 1, 1}).backward_flops - work_on(without, PlanTarget{}, {1, 1, 1}).backward_flops;
  };
  const std::vector<std::string> sets = {"data.max_length=32", "train.micro_batch=1", "adapter.r=4"};
  std::vector<std::string> of_down = sets;
  of_down.emplace_back("adapter.target_modules=all-linear");
  const auto forward = [&](const PlannedModel& model) {  // per block
    return work_on(model, PlanTarget{}, {1, 1, 1}).forward_flops / static_cast<double>(model.spec.layers);
  };
  const PlannedModel before = folder_model("tests/golden/families/qwen3", of_down);
  const auto others = static_cast<double>(before.spec.layers - 1);
  const double hidden = static_cast<double>(before.spec.hidden);
  const double wide = static_cast<double>(before.spec.intermediate);
  EXPECT_NEAR(again(before), others * (forward(before) - 32.0 * 2.0 * (hidden * wide + 4.0 * hidden)), 1e-9 * again(before));
  const PlannedModel after = folder_model("tests/golden/families/exaone4_global", sets);
  EXPECT_NEAR(again(after), static_cast<double>(after.spec.layers - 1) * forward(after), 1e-9 * again(after));
}

/// 2 * 2047 targets; logits of 2,048 exist at a time: over a quarter of 128,256 ids, in 4 chunks.
TEST(DryRun, TheSoftmaxIsExchangedTokensByTokens) {
  const CollectiveCount work = work_on(shipped_model("llama3_1_8b"), h100(), {1, 4, 1}).tensor;
  EXPECT_EQ(work.gathers, 2);
  EXPECT_EQ(work.gathered_bytes, 2 * 2047 * 4 * 3 * 4);
}

/// A method's hooks count its work: src/plan does not know DoRA.
TEST(DryRun, AnotherMethodIsCountedByItsHooks) {
  PlannedModel model = folder_model("demo/model", {"adapter.dropout=0.1", "train.micro_batch=1", "data.max_length=64"});
  const auto run_dry = [&](const AdapterMethod& method) {
    model.layout = make_adapter_layout(model.spec, {4, 8.0, 0.1, false, {"all-linear"}, &method});
    auto rank = plan_rank(model, PlanTarget{}, {1, 1, 1}, 0);
    const MicroBatchWork work = work_of_micro_batch(*rank, step_shape(model.config, {}));
    return std::pair(work, rank->record.sum([](const WorkEntry& entry) { return entry.name == "column_dots"; }).calls);
  };
  const auto [lora, no_dots] = run_dry(lora_method());
  const auto [dora, dots] = run_dry(dora_method());
  EXPECT_EQ(no_dots, 0);
  EXPECT_EQ(dots, model.spec.layers * 7);  // for the magnitudes of each linear
  double more = 0.0;                       // W A^T, A A^T and its product with B, and W times what dropout took from the input
  for (const auto& block : model.layout.blocks) {
    for (const auto& linear : block) {
      const auto elements = linear ? static_cast<double>(linear->in * linear->out) : 0.0;
      more += linear ? 2.0 * (4.0 + 64.0) * elements + 2.0 * 16.0 * static_cast<double>(linear->in + linear->out) : 0.0;
    }
  }
  EXPECT_NEAR(dora.forward_flops, lora.forward_flops + more, 1e-9 * dora.forward_flops);
  EXPECT_GT(dora.backward_flops, lora.backward_flops + more);
  EXPECT_EQ(dora.head_flops, lora.head_flops);
}

std::string text_of(const FetchWork& work) { return fmt::format("{} of {}", work.fetches, work.slice_bytes); }

/// All predictions for a case, in one line.
std::string planned(const PlannedCase& each) {
  const bool shipped = std::filesystem::exists(source("configs/" + each.model + ".toml"));
  const PlannedModel model = shipped ? shipped_model(each.model, each.sets) : folder_model(each.model, each.sets);
  PlanOptions options;
  options.device = each.device;
  options.tokens_per_sample = each.tokens_per_sample;
  options.cpu_gflops = each.device.empty() ? 50.0 : 0.0;
  const PlanTarget target = choose_target(options, model.config);
  const StepShape step = step_shape(model.config, options);
  const MicroBatchWork work = work_of_micro_batch(*plan_rank(model, target, each.mesh, 0), step);
  const MeshPlan plan = Planner(model, target, step).plan(each.mesh);
  return fmt::format(
      "{}: flops {:.9g} {:.9g} {:.9g} {:.9g}, dequantized {}, blocks {}, embedding {}, head {}, sums {} of {}, scatters {} of "
      "{}, "
      "gathers {} of {}, wire {} {} {}, held {}, seconds {:.9g}",
      each.name, work.forward_flops, work.backward_flops, work.last_recompute_flops, work.head_flops, work.dequantized_bytes,
      text_of(work.blocks), text_of(work.embedding), text_of(work.head), work.tensor.sums, work.tensor.summed_bytes,
      work.tensor.scatters, work.tensor.scattered_bytes, work.tensor.gathers, work.tensor.gathered_bytes,
      plan.wire[WireKind::base_gather], plan.wire[WireKind::adapter_gradient], plan.wire[WireKind::tensor_activation],
      plan.most.back(), plan.time->total());
}

/// For each case the numbers were compared with formulas written independently of the transformer.
TEST(DryRun, StepsAreAsTheyWere) {
  std::ifstream file(source("tests/plan/planned_steps.txt"));
  for (const PlannedCase& each : test::planned_cases()) {
    std::string line;
    std::getline(file, line);
    EXPECT_EQ(planned(each), line);
  }
  std::string more;
  EXPECT_FALSE(std::getline(file, more)) << more;
}

}  // namespace
}  // namespace lora_dist::dry_run_test

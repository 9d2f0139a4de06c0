// Meshes: memory as in a run, times by hand, and the results of the search.
#include "src/plan/mesh_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "src/core/error_of.h"
#include "src/train/training_run.h"
#include "tests/plan/plan_fixture.h"
#include "tests/support/scratch.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::mesh_plan_test {
namespace {

using test::folder_model;
using test::shipped_model;
using test::source;

PlanTarget target_on(const std::string& device) {
  PlanOptions options;
  options.device = device;
  return choose_target(options, {});
}

/// The published numbers of parameters.
TEST(ShippedModels, HaveTheSizesOfTheirModels) {
  const std::map<std::string, std::int64_t> published = {
      {"llama2_7b", 6'738'415'616},   {"llama2_13b", 13'015'864'320},    {"llama2_70b", 68'976'648'192},
      {"llama3_1_8b", 8'030'261'248}, {"llama3_1_70b", 70'553'706'496},  {"exaone3_7_8b", 7'818'448'896},
      {"gpt2", 124'439'808},          {"koalpaca_12_8b", 12'893'603'840}};
  for (const auto& [name, parameters] : published) {
    const PlannedModel model = shipped_model(name);
    EXPECT_EQ(parameter_count(model.spec), parameters) << name;
    EXPECT_FALSE(model.has_weights);
  }
}

std::vector<std::string> lines_of(const std::vector<MemoryItem>& items) {
  std::vector<std::string> lines;
  for (const MemoryItem& item : items) {
    lines.push_back(std::string(name_of(item.kind)) + " | " + item.name + " | " + std::to_string(item.bytes));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

struct Case {
  const char* name;
  const char* folder;
  int data;
  int tensor;
  std::vector<std::string> sets;
};
void PrintTo(const Case& each, std::ostream* out) { *out << each.name; }

class PlannedMemory : public testing::TestWithParam<Case> {};

/// Every buffer of every rank of a prepared run, by kind, name and bytes.
TEST_P(PlannedMemory, IsWhatARunTakes) {
  const Case& each = GetParam();
  const Scratch scratch;
  put_file(scratch / "train.jsonl", "{\"input_ids\": [1, 5, 9, 2, 40], \"labels\": [1, 5, 9, 2, 40]}\n");
  std::vector<std::string> sets = each.sets;
  for (const std::string& set : {"data.train=" + (scratch / "train.jsonl").string(), std::string("data.validation_split=0"),
                                 std::string("data.max_length=48"), "output.dir=" + (scratch / "out").string(),
                                 std::string("parallel.backend=cpu"), "parallel.tensor=" + std::to_string(each.tensor),
                                 std::string("data.cache_dir=none"), "model.path=" + source(each.folder).string()}) {
    sets.push_back(set);
  }
  const Config config = load_config("", sets);
  const PlannedModel model = open_planned_model(config, {}, Console{});
  EXPECT_TRUE(model.has_weights);
  const PlannedMesh mesh = mesh_of(config, each.data * each.tensor, PlanTarget{});
  test::on_ranks(mesh.ranks(), [&](Communicator& world) {
    Device place;
    const TrainingRun run = prepare_training(config, world, place);
    const auto planned = plan_rank(model, PlanTarget{}, mesh, world.rank() % each.tensor);
    std::vector<MemoryItem> items = memory_of(*planned);
    const std::vector<MemoryItem> copy = memory_of_copy(model, PlanTarget{}, mesh, world.rank());
    items.insert(items.end(), copy.begin(), copy.end());
    EXPECT_EQ(lines_of(items), lines_of(memory_of(*run.model))) << "rank " << world.rank();
  });
}

INSTANTIATE_TEST_SUITE_P(
    Runs, PlannedMemory,
    testing::Values(Case{"alone", "demo/model", 1, 1, {"train.recompute=none"}},
                    Case{"divided", "demo/model", 3, 1, {"adapter.target_modules=all-linear"}},
                    Case{"once_a_node", "demo/model", 3, 1, {"parallel.base_shards=node"}},
                    Case{"once_a_node_cut", "demo/model", 2, 2, {"parallel.base_shards=node"}},
                    Case{"replicated", "demo/model", 2, 1, {"parallel.base_shards=1", "train.recompute=selective"}},
                    Case{"mesh", "demo/model", 2, 2, {"model.double_quant=false", "adapter.dropout=0"}},
                    Case{"int8", "demo/model", 2, 2, {"model.quantization=int8"}},
                    Case{"floats", "tests/golden/families/gpt2", 1, 4, {"model.quantization=none"}},
                    Case{"neox", "tests/golden/families/gpt_neox_parallel", 1, 3, {"model.block_size=32"}},
                    Case{"norms", "tests/golden/families/exaone4_hybrid", 2, 2, {"adapter.target_modules=all-linear"}},
                    Case{"norms_before_and_after", "tests/golden/families/gemma2", 2, 2, {"train.recompute=selective"}},
                    Case{"two_rotations", "tests/golden/families/gemma3", 1, 3, {"parallel.sequence_parallel=true"}},
                    Case{"fused_rows", "tests/golden/families/phi3", 1, 3, {"adapter.target_modules=all-linear"}},
                    Case{"longer_ropes", "tests/golden/families/phi3", 2, 2, {"data.max_length=60"}},
                    Case{"fused_gate", "tests/golden/families/glm4", 2, 2, {"train.recompute=none"}},
                    Case{"factors", "tests/golden/families/hyperclovax", 2, 2, {"parallel.sequence_parallel=true"}},
                    Case{"one_norm", "tests/golden/families/cohere2", 1, 2, {"model.quantization=int8"}},
                    Case{"growing_queries", "tests/golden/families/ministral3", 2, 1, {"data.max_length=60"}},
                    Case{"norms_of_whole_rows", "tests/golden/families/olmo2", 2, 2, {"train.recompute=selective"}},
                    Case{"rows_divided", "demo/model", 1, 3, {"parallel.sequence_parallel=true", "train.recompute=none"}},
                    Case{"rows_divided_norms", "tests/golden/families/exaone4_hybrid", 2, 2, {"parallel.sequence_parallel=true"}},
                    Case{"in_flight", "demo/model", 2, 1, {"train.micro_batches_in_flight=3"}},
                    Case{"in_flight_mesh", "demo/model", 1, 2, {"train.micro_batches_in_flight=2", "train.recompute=selective"}},
                    Case{"prequantized", "tests/golden/prequantized/llama_nf4_nested", 2, 1, {}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(MeshPlan, TensorRanksAndShardsDivideTheBase) {
  const PlannedModel model = shipped_model("llama2_70b");
  const PlanTarget target = target_on("a100");
  const StepShape step = step_shape(model.config, {});
  Planner planner(model, target, step);
  constexpr auto kBase = static_cast<std::size_t>(MemoryKind::base_shard);
  const MeshPlan alone = planner.plan({1, 1, 1});
  // 80 blocks of 855,638,016 weights: half a byte each, and a byte per 64 weights with 4 bytes per 256 of those
  EXPECT_NEAR(static_cast<double>(alone.most[kBase]), 80.0 * 855638016.0 * (0.5 + 1.0 / 64 + 4.0 / 64 / 256), 1e6);
  EXPECT_NEAR(static_cast<double>(planner.plan({16, 1, 16}).most[kBase]), static_cast<double>(alone.most[kBase]) / 16, 1e5);
  EXPECT_EQ(planner.plan({16, 1, 1}).most[kBase], alone.most[kBase]);
  const MeshPlan cut = planner.plan({2, 8, 2});
  // Each TP rank keeps the nested scales of whole weights: here half of them, although its share is a sixteenth.
  const double nested = 80.0 * 855638016.0 / 64 / 256 * 4;
  EXPECT_NEAR(static_cast<double>(cut.most[kBase]), static_cast<double>(alone.most[kBase]) / 16 + nested * (1.0 / 2 - 1.0 / 16),
              1e6);
  EXPECT_GE(cut.most.back(), cut.least.back());
  EXPECT_EQ(cut.memory(), cut.most.back() + cut.beside[0].bytes + cut.beside[1].bytes);
}

TEST(MeshPlan, DividedRowsTakeLessMemory) {
  PlannedModel model = shipped_model("llama2_70b");
  const PlanTarget target = target_on("a100");
  constexpr auto kActivations = static_cast<std::size_t>(MemoryKind::activations);
  const StepShape step = step_shape(model.config, {});
  const auto activations = [&](bool divided) {
    model.config.parallel.sequence_parallel = divided;
    return Planner(model, target, step).plan({1, 8, 1}).most[kActivations];
  };
  const std::int64_t tokens = step.micro_batch * step.sequence_tokens;
  const std::int64_t state = tokens * model.spec.hidden * 2;  // bf16
  // The input of each block and of the head, attention's output, and the gradient: an eighth of each; one buffer more. The norms
  // keep a number per row, of two norms per block and only an eighth of the rows each.
  const std::int64_t less = 83 * (state - state / 8) - state + 2 * (tokens - tokens / 8) * 4;
  EXPECT_EQ(activations(false) - activations(true), less);
}

TEST(MeshPlan, BesideTheBuffers) {
  const auto names = [](const PlanTarget& target, const PlannedMesh& mesh, std::optional<CommunicatorKind> communicator) {
    std::vector<std::string> names;
    for (const AssumedMemory& each : memory_beside(target, mesh, communicator)) {
      names.push_back(each.name + " " + human_bytes(each.bytes));
    }
    return names;
  };
  EXPECT_THAT(names(PlanTarget{}, {4, 1, 4}, std::nullopt), testing::ElementsAre("program and MPI 200 MiB"));
  EXPECT_THAT(names(target_on("h100"), {1, 1, 1}, std::nullopt), testing::ElementsAre("CUDA context 600 MiB"));
  EXPECT_THAT(names(target_on("h100"), {4, 1, 1}, std::nullopt), testing::ElementsAre("CUDA context 600 MiB", "NCCL 400 MiB"));
  EXPECT_THAT(names(target_on("h100"), {4, 2, 4}, std::nullopt), testing::ElementsAre("CUDA context 600 MiB", "NCCL 1.17 GiB"));
  EXPECT_THAT(names(target_on("h100"), {4, 2, 4}, CommunicatorKind::mpi), testing::ElementsAre("CUDA context 600 MiB"));
}

/// The formulas of step_time.h with the figures of an A100.
TEST(StepTime, IsItsFormula) {
  const PlannedModel model = shipped_model("llama2_7b");
  const PlanTarget target = target_on("a100");
  const StepShape step = step_shape(model.config, {});
  MicroBatchWork work;
  work.forward_flops = 1e12;
  work.backward_flops = 3e12;
  work.head_flops = 0.5e12;
  work.dequantized_bytes = 2.04e9;
  work.blocks.fetches = 60;
  work.blocks.bytes = 6'000'000'000;
  work.tensor.sums = 100;
  work.tensor.summed_bytes = 300'000'000;
  const double flops = 312e12 * 0.45;
  StepTime time = time_of_step(model, target, {1, 1, 1}, step, work);  // 16 micro-batches
  EXPECT_NEAR(time.compute, 16.0 * 4.5e12 / flops, 1e-12);
  EXPECT_NEAR(time.dequantize, 16.0 * 1e-3, 1e-12);
  EXPECT_EQ(time.base_gather + time.tensor_reductions + time.adapter_all_reduce, 0.0);

  time = time_of_step(model, target, {8, 2, 8}, step, work);  // 2 rounds, over two nodes of 8
  const double one_way = (6e9 * 7.0 / 8.0 / 25e9 + 60.0 * 7.0 * 15e-6) / 2.0;
  const double beside = 30.0 / 32.0;  // two of the blocks are in the slots
  const double waited = (one_way - beside * 1e12 / flops - 0.5e-3) + (one_way - beside * 3e12 / flops - 0.5e-3);
  EXPECT_NEAR(time.base_gather, 2.0 * waited, 1e-12);
  EXPECT_NEAR(time.tensor_reductions, 2.0 * (300e6 / 300e9 + 100.0 * 2.0 * 5e-6), 1e-12);  // 2 (n-1)/n is 1 for 2 ranks
  work.tensor = {};
  work.tensor.scatters = work.tensor.gathers = 50;
  work.tensor.scattered_bytes = 150'000'000;
  work.tensor.gathered_bytes = 75'000'000;  // for one of two ranks
  EXPECT_NEAR(time_of_step(model, target, {8, 2, 8}, step, work).tensor_reductions, 2.0 * (150e6 / 300e9 + 100.0 * 5e-6), 1e-12);
  const double factors = 32.0 * 4 * 16 * 8192;
  EXPECT_NEAR(time.adapter_all_reduce, 2.0 * 15.0 / 16.0 * 8.0 * factors / 25e9 + 2.0 * 4.0 * 15e-6, 1e-12);

  work.forward_flops = work.backward_flops = 1e15;  // long enough to hide any gather of blocks
  EXPECT_EQ(time_of_step(model, target, {8, 2, 8}, step, work).base_gather, 0.0);
  work.embedding = {2, 100'000'000, 0};  // no computation hides them
  const double embedding = 1e8 * 7.0 / 8.0 / 25e9 + 2.0 * 7.0 * 15e-6;
  EXPECT_NEAR(time_of_step(model, target, {8, 2, 8}, step, work).base_gather, 2.0 * embedding, 1e-12);
  work.embedding = {};
  work.head = {4, 500'000'000, 0};  // the first chunk beside the last block, the others beside a visit of the previous one
  work.head_chunks = 3;
  const double chunk = 5e8 / 4.0 * 7.0 / 8.0 / 25e9 + 7.0 * 15e-6;
  const double others = 3.0 * (chunk - 0.5e12 / 6.0 / flops);
  EXPECT_NEAR(time_of_step(model, target, {8, 2, 8}, step, work).base_gather, 2.0 * others, 1e-12);
  work.blocks = {};
  work.forward_flops = 1e12;
  EXPECT_NEAR(time_of_step(model, target, {8, 2, 8}, step, work).base_gather, 2.0 * (chunk - 1e12 / 32.0 / flops + others),
              1e-12);
}

TEST(StepTime, OfCpusIsByTheirRate) {
  PlanOptions options;
  options.cpu_gflops = 50.0;
  options.link_intra = "1Gbit/s";
  options.latency_intra = "200us";
  const PlanTarget target = choose_target(options, {});
  const PlannedModel model = shipped_model("llama2_7b");
  MicroBatchWork work;
  work.forward_flops = work.backward_flops = 1e10;
  work.blocks.fetches = 60;
  work.blocks.bytes = 1'000'000'000;
  const StepTime time = time_of_step(model, target, {2, 1, 2}, step_shape(model.config, {}), work);  // 8 rounds
  EXPECT_NEAR(time.compute, 8.0 * 0.4, 1e-9);
  EXPECT_EQ(time.dequantize, 0.0);
  EXPECT_NEAR(time.base_gather, 8.0 * 2.0 * ((0.5e9 / 125e6 + 60.0 * 3.0 * 200e-6) / 2.0 - 30.0 / 32.0 * 0.2), 1e-9);
  const double bytes = 8.0 * 32.0 * 4 * 16 * 8192;  // over MPI: 2 steps of a ring, with half of it each
  EXPECT_NEAR(time.adapter_all_reduce, 2.0 * (bytes / 2.0 / 125e6 + 3.0 * 200e-6), 1e-9);
  const StepTime of_four = time_of_step(model, target, {4, 1, 4}, step_shape(model.config, {}), work);
  EXPECT_NEAR(of_four.adapter_all_reduce, 6.0 * (bytes / 4.0 / 125e6 + 3.0 * 200e-6), 1e-9);
  const StepTime of_many =
      time_of_step(model, target, {1024, 1, 1024}, step_shape(model.config, {}), work);  // small shares: a tree
  EXPECT_NEAR(of_many.adapter_all_reduce, 2.0 * bytes * 1023.0 / 1024.0 / 25e9 + 20.0 * 15e-6, 1e-9);
}

TEST(Search, TriesWhatDivides) {
  const ModelSpec spec = shipped_model("gpt2").spec;  // 12 heads
  const auto has = [](const std::vector<PlannedMesh>& meshes, const PlannedMesh& mesh) {
    return std::find(meshes.begin(), meshes.end(), mesh) != meshes.end();
  };
  const std::vector<PlannedMesh> six = meshes_of(spec, Cluster{}, 6);
  EXPECT_EQ(six.size(), 7U);  // 6, 3 and 2 data ranks with the base over all or whole; 1 x 6
  EXPECT_TRUE(has(six, {3, 2, 3}) && has(six, {3, 2, 1}) && has(six, {1, 6, 1}));
  const std::vector<PlannedMesh> many = meshes_of(spec, Cluster{}, 4096);
  EXPECT_TRUE(has(many, {4096, 1, 4096}) && has(many, {4096, 1, 8}) && has(many, {4096, 1, 1}));
  EXPECT_TRUE(has(many, {512, 8, 512}) && has(many, {512, 8, 1}));
  EXPECT_FALSE(has(many, {256, 16, 256}));  // beyond a node
}

TEST(Search, FindsTheSmallestAndTheFastest) {
  const PlannedModel model = shipped_model("llama2_70b");
  PlanOptions options;
  options.memory = "24GB";
  options.device = "a100";
  const PlanReport report = make_plan_report("llama2_70b.toml", model, options, 64);
  ASSERT_TRUE(report.search.smallest && report.search.fastest);
  EXPECT_GT(report.search.smallest->mesh.ranks(), 1);  // 35 GB of codes
  EXPECT_LE(report.search.smallest->memory(), 24'000'000'000);
  EXPECT_EQ(report.search.fastest->mesh.ranks(), 64);
  Planner planner(model, report.target, report.step);
  for (const PlannedMesh& mesh : meshes_of(model.spec, report.target.cluster, 64)) {
    const MeshPlan plan = planner.plan(mesh);
    EXPECT_TRUE(!planner.fits(plan) || plan.time->total() >= report.search.fastest->time->total());
  }
  for (const PlannedMesh& mesh : meshes_of(model.spec, report.target.cluster, report.search.smallest->mesh.ranks() / 2)) {
    EXPECT_FALSE(planner.fits(planner.plan(mesh)));
  }
  EXPECT_EQ(report.search.best.back().mesh.ranks(), 4096);
}

TEST(Search, SaysWhatWouldFitWhereNothingDoes) {
  const PlannedModel model = shipped_model("llama2_70b", {"train.recompute=none", "train.micro_batch=8"});
  PlanOptions options;
  options.memory = "12GB";
  const PlanReport report = make_plan_report("llama2_70b.toml", model, options, 8);
  EXPECT_FALSE(report.fits);
  EXPECT_FALSE(report.search.smallest);
  ASSERT_GE(report.changes.size(), 3U);
  EXPECT_EQ(report.changes.back().what, "all of these");
  EXPECT_LT(report.changes.back().memory, report.changes[0].memory);
  try {
    check_that_something_fits(report);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    const std::string least = human_bytes(report.search.leanest->memory());
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::HasSubstr("no mesh of up to 4096 ranks fits into 11.2 GiB: the least is " + least),
                               testing::HasSubstr("train.micro_batch")));
  }
}

TEST(Search, OffersOneMicroBatchInFlightWhereThereAreMore) {
  PlanOptions options;
  options.memory = "1GB";
  const auto change_of = [&](const std::string& in_flight) -> std::optional<MemoryChange> {
    const PlannedModel model = shipped_model("llama2_7b", {"train.micro_batches_in_flight=" + in_flight});
    const PlanReport report = make_plan_report("llama2_7b.toml", model, options, 8);
    for (const MemoryChange& change : report.changes) {
      if (change.what == "train.micro_batches_in_flight = 1") {
        EXPECT_LT(change.memory, report.plan.memory());
        return change;
      }
    }
    return std::nullopt;
  };
  EXPECT_TRUE(change_of("4"));
  EXPECT_FALSE(change_of("1"));
}

TEST(PlanReport, HoursOfARun) {
  PlanOptions options;
  options.device = "v100";
  options.samples = 1000;
  options.tokens_per_sample = 512;
  const PlanReport report = make_plan_report("x", shipped_model("llama2_7b"), options, 4);
  ASSERT_TRUE(report.run);
  EXPECT_EQ(report.run->steps, 3 * 8);  // two samples per sequence: 500 sequences, 64 per step, three epochs
  EXPECT_DOUBLE_EQ(*report.run->hours, 24.0 * report.plan.time->total() / 3600.0);
  const PlanReport without = make_plan_report("x", shipped_model("llama2_7b"), {}, 4);
  EXPECT_FALSE(without.run);
  EXPECT_FALSE(without.plan.time);
  const PlanReport steps = make_plan_report("x", shipped_model("llama2_7b", {"train.max_steps=7"}), {}, 4);
  EXPECT_EQ(steps.run->steps, 7);
  EXPECT_FALSE(steps.run->hours);
}

TEST(MeshPlan, OnceANode) {
  const Config config = load_config("", {"parallel.base_shards=node", "parallel.tensor=2"});
  PlanTarget target;
  target.cluster.gpus_per_node = 4;
  const PlannedMesh mesh = mesh_of(config, 8, target);
  EXPECT_TRUE(mesh.of_node && !mesh.gathers());
  EXPECT_EQ(mesh.shards, 2);
  EXPECT_EQ(mesh_name(mesh), "4 data x 2 tensor, base once for 2 of a node");
  target = target_on("a100");  // GPUs share no memory: those of a node gather
  EXPECT_TRUE(mesh_of(config, 32, target).gathers());
  EXPECT_EQ(mesh_of(config, 32, target).shards, 4);
  const auto error = error_of([&] { mesh_of(config, 12, target); });
  ASSERT_TRUE(error);
  EXPECT_THAT(error->what(), testing::HasSubstr("6 data-parallel ranks do not fill nodes of 4"));
}

/// The three projects of docs/mesh.md.
TEST(PlanReport, HoursOfThreeProjects) {
  const auto hours = [](const char* model, const char* device, int ranks, std::int64_t samples, std::int64_t tokens) {
    PlanOptions options;
    options.device = device;
    options.samples = samples;
    options.tokens_per_sample = tokens;
    return *make_plan_report("x", shipped_model(model), options, ranks).run->hours;
  };
  EXPECT_NEAR(hours("llama2_7b", "v100", 4, 150'000, 0), 21.73, 0.05);
  EXPECT_NEAR(hours("koalpaca_12_8b", "rtx4090", 8, 6'000'000, 256), 49.65, 0.05);
  EXPECT_NEAR(hours("koalpaca_12_8b", "rtx4090", 8, 6'000'000, 512), 99.97, 0.05);
  EXPECT_NEAR(hours("exaone3_7_8b", "a100", 2, 200'000, 1024), 25.43, 0.05);
  EXPECT_NEAR(hours("exaone3_7_8b", "a100", 2, 200'000, 0), 52.31, 0.05);
}

/// Compared with an all-reduce of the gradients of all weights, in the same dtype.
TEST(MeshPlan, AdapterTrafficIsASmallShare) {
  const PlannedModel model = shipped_model("llama2_7b");
  const StepShape step = step_shape(model.config, {});
  const PlanTarget target = target_on("v100");
  const MeshPlan plan = Planner(model, target, step).plan({4, 1, 4});
  EXPECT_EQ(plan.wire[WireKind::adapter_gradient], std::int64_t{4} * 8 * 16'777'216);
  EXPECT_LE(plan.wire[WireKind::adapter_gradient] * 150, 4 * 8 * parameter_count(model.spec));
}

}  // namespace
}  // namespace lora_dist::mesh_plan_test

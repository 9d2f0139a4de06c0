// Compares plan with runs: memory table and bytes on the wire; and its output and errors.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/program/fixtures.h"

namespace lora_dist::program::plan_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Launch plan_of(const Settings& settings, const std::vector<std::string>& options) {
  Launch launch = launch_of(settings, 0, "plan");
  launch.arguments.insert(launch.arguments.end(), options.begin(), options.end());
  return launch;
}

json plan_json(const Settings& settings, std::vector<std::string> options) {
  options.emplace_back("--json");
  const Finished plan = expect_success(plan_of(settings, options));
  json parsed = json::parse(plan.out, nullptr, false);
  EXPECT_FALSE(parsed.is_discarded()) << plan.out;
  return parsed;
}

/// A row of ids for every sequence, all of one length.
fs::path equal_rows(const fs::path& file, int rows, int length, int vocabulary) {
  std::string text;
  for (int row = 0; row < rows; ++row) {
    json ids = json::array();
    for (int t = 0; t < length; ++t) {
      ids.push_back((row * 31 + t * 17) % vocabulary);
    }
    text += json{{"input_ids", ids}}.dump() + "\n";
  }
  put_file(file, text);
  return file;
}

struct Case {
  const char* name;
  const char* model;
  int vocabulary;
  int data;
  int tensor;
  const char* shards;
  const char* recompute;
  Settings more = {};
};
void PrintTo(const Case& each, std::ostream* out) { *out << each.name; }

class PlanBesideARun : public testing::TestWithParam<Case> {};

/// Three steps of sequences of equal length. The first step fetches two blocks more (src/plan/dry_run.h); the others are
/// compared.
TEST_P(PlanBesideARun, MemoryAndWireAreThoseOfTheRun) {
  const Case& each = GetParam();
  const int ranks = each.data * each.tensor;
  const Scratch scratch;
  Settings settings = {{"model.path", source(each.model).string()},
                       {"adapter.r", "4"},
                       {"data.train", toml_list({equal_rows(scratch / "rows.jsonl", 21, 40, each.vocabulary)})},
                       {"data.validation_split", "0"},
                       {"data.max_length", "40"},
                       {"train.global_batch", "7"},
                       {"train.micro_batch", "2"},
                       {"train.max_steps", "3"},
                       {"train.recompute", each.recompute},
                       {"parallel.backend", "cpu"},
                       {"parallel.tensor", std::to_string(each.tensor)},
                       {"parallel.base_shards", each.shards},
                       {"checkpoint.every", "0"},
                       {"output.dir", (scratch / "out").string()}};
  const bool full = each.more.contains("adapter.method") && each.more.at("adapter.method") == "full";
  if (full || each.more.contains("adapter.prompt.virtual_tokens") || each.more.contains("adapter.prefix.virtual_tokens")) {
    settings.erase("adapter.r");
  }
  for (const auto& [key, value] : each.more) {
    settings[key] = value;
  }
  const Finished run = expect_success(launch_of(settings, ranks));
  const std::vector<std::string> options = {"--ranks", std::to_string(ranks)};
  EXPECT_NE(run.out.find("\nplan       memory of a rank: "), std::string::npos) << run.out;
  EXPECT_EQ(memory_rows(expect_success(plan_of(settings, options)).out), memory_rows(run.out));

  const json plan = plan_json(settings, options);
  EXPECT_EQ(plan["mesh"]["data"], each.data);
  const std::vector<json> steps = read_lines(scratch / "out/metrics.jsonl");
  ASSERT_EQ(steps.size(), 3U);
  EXPECT_EQ(plan["step"]["tokens"], steps[0]["tokens"]);
  EXPECT_EQ(plan["step"]["target_tokens"], steps[0]["target_tokens"]);
  for (const std::size_t step : {1U, 2U}) {
    for (const char* kind : {"base_gather", "adapter_gradient", "tensor_activation"}) {
      EXPECT_EQ(plan["wire_bytes"][kind], steps[step]["wire_bytes"][kind]) << kind << " of step " << step + 1;
    }
  }
  const bool divides = each.data > 1 && std::string(each.shards) != "1" && std::string(each.shards) != "node";
  if (!divides || plan["model"]["layers"] > 2) {  // two blocks and two chunks of a vocabulary stay in the slots
    EXPECT_EQ(plan["wire_bytes"]["base_gather"] > 0, divides);
  }
  EXPECT_EQ(plan["wire_bytes"]["adapter_gradient"] > 0, ranks > 1);
  EXPECT_EQ(plan["wire_bytes"]["tensor_activation"] > 0, each.tensor > 1);
}

constexpr const char* kStories = "demo/model";
INSTANTIATE_TEST_SUITE_P(
    Runs, PlanBesideARun,
    testing::Values(
        Case{"alone", kStories, 512, 1, 1, "all", "none"}, Case{"two", kStories, 512, 2, 1, "all", "block"},
        Case{"mesh", kStories, 512, 2, 2, "all", "block", {{"adapter.target_modules", "all-linear"}}},
        Case{"mesh_of_whole_bases", kStories, 512, 2, 2, "1", "none"}, Case{"tensor", kStories, 512, 1, 2, "all", "selective"},
        Case{"replicas_with_idle_ranks", kStories, 512, 4, 1, "1", "none", {{"train.micro_batch", "3"}}},
        Case{"once_a_node", kStories, 512, 3, 1, "node", "block"}, Case{"once_a_node_cut", kStories, 512, 2, 2, "node", "none"},
        Case{"pairs_in_two_rounds", kStories, 512, 4, 1, "2", "block", {{"train.micro_batch", "1"}}},
        Case{"in_flight", kStories, 512, 1, 2, "all", "block", {{"train.micro_batches_in_flight", "2"}}},
        Case{"in_flight_mesh", kStories, 512, 2, 2, "all", "selective", {{"train.micro_batches_in_flight", "2"}}},
        Case{"in_flight_rows_divided_norms_after",
             "tests/golden/families/exaone4_hybrid",
             93,
             1,
             2,
             "all",
             "block",
             {{"parallel.sequence_parallel", "true"}, {"train.micro_batches_in_flight", "3"}}},
        Case{"neox_parallel", "tests/golden/families/gpt_neox_parallel", 94, 1, 3, "all", "block"},
        Case{"norms_after", "tests/golden/families/exaone4_hybrid", 93, 2, 2, "all", "block"},
        Case{"norms_before_and_after", "tests/golden/families/gemma2", 95, 2, 2, "all", "block"},
        Case{"two_rotations", "tests/golden/families/gemma3", 97, 1, 2, "all", "none", {{"parallel.sequence_parallel", "true"}}},
        Case{"fused_rows", "tests/golden/families/phi3", 96, 1, 3, "all", "block", {{"adapter.target_modules", "all-linear"}}},
        Case{"fused_gate", "tests/golden/families/glm4", 99, 2, 2, "all", "none"},
        Case{"factors", "tests/golden/families/hyperclovax", 95, 1, 2, "all", "selective"},
        Case{"one_norm", "tests/golden/families/cohere2", 92, 2, 2, "all", "block", {{"parallel.sequence_parallel", "true"}}},
        Case{"norms_of_whole_rows", "tests/golden/families/olmo2", 97, 1, 4, "all", "block"},
        Case{"gpt2_floats", "tests/golden/families/gpt2", 95, 2, 2, "all", "none", {{"model.quantization", "none"}}},
        Case{"gemma_one_kv_head", "tests/golden/families/gemma", 99, 1, 4, "all", "block", {{"model.quantization", "int8"}}},
        Case{"vera", kStories, 512, 2, 2, "all", "block", {{"adapter.method", "vera"}}},
        Case{"vera_gpt2",
             "tests/golden/families/gpt2",
             95,
             1,
             2,
             "all",
             "none",
             {{"adapter.method", "vera"}, {"adapter.r", "64"}}},
        Case{"adalora", kStories, 512, 2, 2, "all", "block", {{"adapter.method", "adalora"}}},
        Case{"full",
             kStories,
             512,
             2,
             2,
             "all",
             "block",
             {{"adapter.method", "full"}, {"model.quantization", "none"}, {"parallel.sequence_parallel", "true"}}},
        Case{"full_in_flight",
             "tests/golden/families/gpt2",
             95,
             1,
             2,
             "all",
             "none",
             {{"adapter.method", "full"}, {"model.quantization", "none"}, {"train.micro_batches_in_flight", "2"}}},
        Case{"full_alone", kStories, 512, 1, 1, "all", "selective", {{"adapter.method", "full"}, {"model.quantization", "none"}}},
        Case{"prompt",
             kStories,
             512,
             2,
             2,
             "all",
             "block",
             {{"adapter.method", "prompt"}, {"adapter.prompt.virtual_tokens", "5"}, {"parallel.sequence_parallel", "true"}}},
        Case{"prefix",
             "tests/golden/families/olmo2",
             97,
             1,
             4,
             "all",
             "selective",
             {{"adapter.method", "prefix"}, {"adapter.prefix.virtual_tokens", "3"}}},
        Case{"p_tuning",
             kStories,
             512,
             2,
             1,
             "all",
             "block",
             {{"adapter.method", "p_tuning"}, {"adapter.prompt.virtual_tokens", "4"}}},
        Case{"rows_divided", kStories, 512, 2, 2, "all", "selective", {{"parallel.sequence_parallel", "true"}}},
        Case{"rows_divided_three",
             "tests/golden/families/gpt_neox_parallel",
             94,
             1,
             3,
             "all",
             "block",
             {{"parallel.sequence_parallel", "true"}}},
        Case{"rows_divided_norms_after",
             "tests/golden/families/exaone4_hybrid",
             93,
             1,
             4,
             "all",
             "none",
             {{"parallel.sequence_parallel", "true"}}},
        Case{"rows_divided_positions",
             "tests/golden/families/gpt2",
             95,
             2,
             2,
             "1",
             "block",
             {{"parallel.sequence_parallel", "true"}}},
        Case{"quantized_folder", "tests/golden/prequantized/llama_nf4_nested", 61, 2, 2, "all", "block"}),
    [](const auto& info) { return std::string(info.param.name); });

/// config.json alone: the same answer as with the weights, whose type it names.
TEST(Plan, NeedsConfigJsonAlone) {
  const Scratch scratch;
  fs::create_directories(scratch / "sizes");
  fs::copy_file(source("demo/model/config.json"), scratch / "sizes/config.json");
  Settings settings = {{"model.path", source("demo/model").string()}, {"data.max_length", "128"}};
  const std::vector<std::string> options = {"--ranks", "4", "--device", "a100"};  // on CPUs this process is measured
  json with = plan_json(settings, options);
  settings["model.path"] = (scratch / "sizes").string();
  json without = plan_json(settings, options);
  EXPECT_EQ(with["model"]["has_weights"], true);
  EXPECT_EQ(without["model"]["has_weights"], false);
  with.erase("model");
  without.erase("model");
  EXPECT_EQ(with, without);
}

/// The configurations that come with the program, from any folder, without a download.
TEST(Plan, OfShippedConfigurations) {
  const Scratch scratch;
  int planned = 0;
  for (const auto& entry : fs::directory_iterator(source("configs"))) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() != ".toml" || name == "demo.toml" || name == "smollm2.toml") {  // models outside of configs/
      continue;
    }
    Launch launch;
    launch.folder = scratch.path();
    launch.arguments = {"plan", "--cfg", name, "--memory", "80GB", "--ranks", "8"};
    const Finished plan = expect_success(launch);
    for (const char* part :
         {"memory per rank by kind", "fits into 74.5 GiB", "base gather", "dequantize", "tokens/s", "smallest", "fastest"}) {
      EXPECT_NE(plan.out.find(part), std::string::npos) << name << ": " << part << "\n" << plan.out;
    }
    ++planned;
  }
  EXPECT_GE(planned, 11);
}

TEST(Plan, TheSameOnceUnderMpirun) {
  const Settings settings = {{"model.path", source("demo/model").string()}, {"data.max_length", "128"}};
  Launch launch = plan_of(settings, {"--device", "a100"});
  launch.ranks = 3;
  EXPECT_EQ(expect_success(launch).out, expect_success(plan_of(settings, {"--device", "a100", "--ranks", "3"})).out);
}

TEST(Plan, SaysWhatToChangeWhereItDoesNotFit) {
  Launch launch;
  launch.arguments = {"plan", "--cfg", "llama2_13b.toml", "--memory", "13GB", "--ranks", "2", "--set", "train.recompute=none"};
  const Finished plan = expect_success(launch);
  for (const char* part : {"does not fit into 12.1 GiB", "with train.recompute = \"block\"", "with train.micro_batch = 1",
                           "with parallel.base_device = \"host\"", "with all of these", "smallest"}) {
    EXPECT_NE(plan.out.find(part), std::string::npos) << part << "\n" << plan.out;
  }
}

TEST(Plan, Errors) {
  const auto error = [](const std::vector<std::string>& options, const std::vector<std::string>& texts, int code = 2) {
    Launch launch;
    launch.arguments = {"plan", "--cfg", "llama2_7b.toml"};
    launch.arguments.insert(launch.arguments.end(), options.begin(), options.end());
    expect_error(launch, code, texts);
  };
  error({"--device", "h1000"}, {"--device h1000: known are v100", "rtx4090"});
  error({"--memory", "much"}, {"--memory must be a size such as 80GB or 40GiB (got much)"});
  error({"--link-inter", "25GB"}, {"--link-inter must be a rate such as 450GB/s"});
  error({"--latency-intra", "5"}, {"--latency-intra must be a time such as 5us"});
  error({"--ranks", "6", "--set", "parallel.tensor=4"}, {"parallel.tensor = 4 does not divide the 6 ranks", "1, 2, 3 or 6"});
  error({"--ranks", "6", "--set", "parallel.base_shards=4"},
        {"parallel.base_shards = \"4\" does not divide the 6 data-parallel ranks"});
  error({"--ranks", "64", "--set", "parallel.tensor=64"}, {"parallel.tensor = 64", "32 attention heads"});
  error({"--ranks", "5000"}, {"--ranks must be from 1 to 4096 (got 5000)"});
  error({"--samples", "0"}, {"--samples must be from 1 to"});
  error({"--memory", "1GB"}, {"no mesh of up to 4096 ranks fits into 954 MiB: the least is", "train.micro_batch"});
  error({"--set", "model.path=/nowhere/else"}, {"/nowhere/else: no such model folder"}, 4);
  error({"--set", "adapter.target_modules=[\"query\"]"}, {"\"query\" matches no linear layer"});
  expect_error(plan_of({{"adapter.r", "4"}}, {}), 2, {"model.path is not set"});
  const Scratch scratch;
  fs::create_directories(scratch / "model");
  json config = read_json(source("demo/model/config.json"));
  config["dtype"] = "float8_e4m3fn";
  put_file(scratch / "model/config.json", config.dump());
  expect_error(plan_of({{"model.path", (scratch / "model").string()}}, {}), 4,
               {"weights are of type \"float8_e4m3fn\"; float32, float16 and bfloat16 can be read"});
}

}  // namespace
}  // namespace lora_dist::program::plan_test

// Data x tensor meshes: every family equals one rank, the same bits for every number of data ranks, checkpoints resume on any
// mesh, and bytes on the wire.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/program/family_runs.h"

namespace lora_dist::program::mesh_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct MeshSize {
  int data;
  int tensor;
  int ranks() const { return data * tensor; }
  std::string name() const { return std::to_string(data) + "x" + std::to_string(tensor); }
};

Launch on_mesh(Settings settings, const MeshSize& mesh) {
  settings["parallel.tensor"] = std::to_string(mesh.tensor);
  return launch_of(settings, mesh.ranks());
}

double largest_change_of_loss(const fs::path& a, const fs::path& b) {
  const std::vector<json> ours = read_lines(a / "metrics.jsonl");
  const std::vector<json> theirs = read_lines(b / "metrics.jsonl");
  EXPECT_EQ(ours.size(), theirs.size());
  double worst = 0.0;
  for (std::size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i) {
    const double change = std::fabs(ours[i]["loss"].get<double>() - theirs[i]["loss"].get<double>());
    worst = change <= worst ? worst : change;
  }
  return worst;
}

class FamilyMesh : public testing::TestWithParam<const char*> {};

/// Sums over the TP ranks are rounded in another order: loss within 2e-5, the adapter within 1e-3.
TEST_P(FamilyMesh, TrainsAsOnOneRank) {
  const fs::path model = source("tests/golden/families") / GetParam();
  const Scratch scratch;
  const fs::path rows = training_rows(model, scratch / "train.jsonl");
  const std::int64_t heads =
      read_json(model / "config.json").value("num_attention_heads", read_json(model / "config.json").value("n_head", 1));
  for (const std::string quantization : {"none", "nf4"}) {
    const auto run = [&](const MeshSize& mesh) {
      const fs::path output = scratch / (quantization + mesh.name());
      Settings settings = steps_of(model, quantization, rows, output);
      settings["adapter.dropout"] = "0.1";
      settings["model.double_quant"] = "true";
      expect_success(on_mesh(settings, mesh));
      return output;
    };
    const fs::path alone = run({1, 1});
    for (const MeshSize mesh : {MeshSize{1, 2}, MeshSize{1, 4}, MeshSize{2, 2}}) {
      if (mesh.tensor > heads) {
        continue;
      }
      const fs::path output = run(mesh);
      const double loss = largest_change_of_loss(output, alone);
      const double adapter = largest_difference(read_peft_adapter(output / "adapter"), read_peft_adapter(alone / "adapter"));
      EXPECT_LE(loss, 2e-5) << mesh.name();
      EXPECT_LE(adapter, 1e-3) << mesh.name();
      std::printf("%-18s %-4s %s: largest difference of loss %.2e, of the adapter %.2e\n", GetParam(), quantization.c_str(),
                  mesh.name().c_str(), loss, adapter);
    }
  }
}

/// With sequence parallelism, within the same bounds, for every recompute mode. The tokens of these micro-batches are not
/// divisible by the ranks.
TEST_P(FamilyMesh, TrainsAsOnOneRankWithRowsDivided) {
  const fs::path model = source("tests/golden/families") / GetParam();
  const Scratch scratch;
  const fs::path rows = training_rows(model, scratch / "train.jsonl");
  const json config = read_json(model / "config.json");
  const std::int64_t heads = config.value("num_attention_heads", config.value("n_head", 1));
  const auto run = [&](const MeshSize& mesh, const std::string& recompute, bool sequence_parallel) {
    const fs::path output = scratch / (mesh.name() + recompute);
    Settings settings = steps_of(model, "nf4", rows, output);
    settings["adapter.dropout"] = "0.1";
    settings["train.recompute"] = recompute;
    settings["parallel.sequence_parallel"] = sequence_parallel ? "true" : "false";
    expect_success(on_mesh(settings, mesh));
    return output;
  };
  const fs::path alone = run({1, 1}, "block", false);
  const std::vector<std::pair<MeshSize, std::string>> runs = {{{1, 2}, "none"}, {{1, 4}, "selective"}, {{2, 2}, "block"}};
  for (const auto& [mesh, recompute] : runs) {
    if (mesh.tensor > heads) {
      std::printf("%-18s has too few heads for %s\n", GetParam(), mesh.name().c_str());
      continue;
    }
    const fs::path output = run(mesh, recompute, true);
    const double loss = largest_change_of_loss(output, alone);
    const double adapter = largest_difference(read_peft_adapter(output / "adapter"), read_peft_adapter(alone / "adapter"));
    EXPECT_LE(loss, 2e-5) << mesh.name();
    EXPECT_LE(adapter, 1e-3) << mesh.name();
    std::printf("%-18s rows divided, %s: largest difference of loss %.2e, of the adapter %.2e\n", GetParam(), mesh.name().c_str(),
                loss, adapter);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, FamilyMesh,
                         testing::Values("llama3", "mistral_window", "qwen2_window", "qwen3", "gemma", "gpt2",
                                         "gpt_neox_parallel", "gpt_neox_serial", "exaone3", "exaone4_hybrid", "gemma3", "gemma2",
                                         "phi3", "smollm3", "granite", "glm4", "hyperclovax", "cohere2", "ministral3",
                                         "stablelm_parallel", "starcoder2", "nemotron", "olmo2", "olmo3", "internlm3"),
                         [](const auto& info) { return std::string(info.param); });

Settings mesh_run(const fs::path& output) {
  Settings settings = short_run(output);
  settings["data.validation_split"] = "0.1";
  settings["eval.every"] = "4";
  settings["adapter.target_modules"] = R"(["q_proj","k_proj","v_proj","o_proj","gate_proj","up_proj","down_proj"])";
  return settings;
}

TEST(Mesh, DataRanksAndBaseShardsChangeNoBit) {
  const Scratch scratch;
  Settings settings = mesh_run(scratch / "1x2");
  expect_success(on_mesh(settings, {1, 2}));
  for (const std::string shards : {"all", "1", "2", "node"}) {
    settings["output.dir"] = (scratch / ("4x2" + shards)).string();
    settings["parallel.base_shards"] = shards;
    expect_success(on_mesh(settings, {4, 2}));
    expect_same_training(scratch / ("4x2" + shards), scratch / "1x2");
  }
}

/// Recomputation does not change bits: rows are gathered and summed in the same way.
TEST(Mesh, WithRowsDividedDataRanksAndRecomputationChangeNoBit) {
  const Scratch scratch;
  Settings settings = mesh_run(scratch / "1x2");
  settings["parallel.sequence_parallel"] = "true";
  expect_success(on_mesh(settings, {1, 2}));
  for (const std::string recompute : {"none", "selective", "block"}) {
    settings["output.dir"] = (scratch / recompute).string();
    settings["train.recompute"] = recompute;
    expect_success(on_mesh(settings, {2, 2}));
    expect_same_training(scratch / recompute, scratch / "1x2");
  }
}

/// Ten micro-batches of one sequence, so that eight data ranks have two rounds, the second one partial.
TEST(Mesh, EightRanksOnEveryMesh) {
  const Scratch scratch;
  const auto run = [&](const MeshSize& mesh, const std::string& shards) {
    const fs::path output = scratch / (mesh.name() + "over" + shards);
    Settings settings = mesh_run(output);
    settings["data.validation_split"] = "0";
    settings["train.global_batch"] = "10";
    settings["train.micro_batch"] = "1";
    settings["train.max_steps"] = "3";
    settings["parallel.base_shards"] = shards;
    expect_success(on_mesh(settings, mesh));
    expect_steps(output, 3);
    return output;
  };
  for (const MeshSize mesh : {MeshSize{8, 1}, MeshSize{4, 2}, MeshSize{2, 4}, MeshSize{1, 8}}) {
    const fs::path one_data_rank = run({1, mesh.tensor}, "all");
    for (const std::string shards : {"1", "2", "all", "node"}) {
      if (mesh.data > 1) {  // one data rank does not divide the base
        expect_same_training(run(mesh, shards), one_data_rank);
      }
    }
  }
}

/// Stopped at step 2 on one mesh and finished on another: the same state, and with T unchanged the same run to the bit.
TEST(Mesh, ResumesOnEveryOther) {
  const std::vector<MeshSize> meshes = {{1, 1}, {2, 1}, {4, 1}, {1, 2}, {2, 2}, {1, 4}};
  const Scratch scratch;
  for (const MeshSize& mesh : meshes) {
    Settings settings = mesh_run(scratch / (mesh.name() + "half"));
    settings["data.validation_split"] = "0";
    settings["train.max_steps"] = "2";
    settings["train.schedule"] = "constant";
    expect_success(on_mesh(settings, mesh));
  }
  for (const MeshSize& from : meshes) {
    for (const MeshSize& to : meshes) {
      const fs::path output = scratch / (from.name() + "to" + to.name());
      fs::copy(scratch / (from.name() + "half"), output, fs::copy_options::recursive);
      Settings settings = mesh_run(output);
      settings["data.validation_split"] = "0";
      settings["train.schedule"] = "constant";
      settings["train.max_steps"] = "3";
      expect_success(on_mesh(settings, to));
      expect_steps(output, 3);
    }
  }
  for (const MeshSize& from : meshes) {  // the result depends only on both values of T
    const fs::path reference = scratch / ("1x" + std::to_string(from.tensor) + "to1x1");
    EXPECT_LE(largest_change_of_loss(scratch / (from.name() + "to1x1"), reference), 0.0) << from.name();
    for (const MeshSize& to : meshes) {
      EXPECT_LE(largest_change_of_loss(scratch / (from.name() + "to" + to.name()), reference), 1e-5) << from.name() << to.name();
      if (to.tensor == from.tensor) {
        expect_same_training(scratch / (from.name() + "to" + to.name()),
                             scratch / ("1x" + std::to_string(from.tensor) + "to1x" + std::to_string(from.tensor)));
      }
    }
  }
}

class WithoutGathers : public testing::TestWithParam<const char*> {};

/// No bytes of the base are sent if every rank has it, or reads it in its node's shared memory.
TEST_P(WithoutGathers, OnlyTheAdaptersGradientsCross) {
  const Scratch scratch;
  Settings settings = mesh_run(scratch / "out");
  settings["parallel.base_shards"] = GetParam();
  const Finished finished = expect_success(on_mesh(settings, {2, 2}));
  const bool of_node = std::string(GetParam()) == "node";
  EXPECT_EQ(finished.out.find("base once a node, in memory that 2 ranks share") != std::string::npos, of_node) << finished.out;
  const std::int64_t factors = [&] {
    std::int64_t count = 0;
    for (const auto& [name, matrix] : read_peft_adapter(scratch / "out/adapter").tensors) {
      count += static_cast<std::int64_t>(matrix.values.size());
    }
    return count;
  }();
  for (const json& line : read_lines(scratch / "out/metrics.jsonl")) {
    EXPECT_EQ(line["wire_bytes"]["adapter_gradient"].get<std::int64_t>(), 4 * 8 * factors);
    EXPECT_EQ(line["wire_bytes"]["base_gather"].get<std::int64_t>(), 0);
    EXPECT_GT(line["wire_bytes"]["tensor_activation"].get<std::int64_t>(), 0);
  }
}
INSTANTIATE_TEST_SUITE_P(Shards, WithoutGathers, testing::Values("1", "node"),
                         [](const auto& info) { return std::string(info.index == 0 ? "whole" : "node"); });

TEST(Mesh, ErrorsNameWhatWorks) {
  const Scratch scratch;
  Settings settings = mesh_run(scratch / "out");
  settings["parallel.tensor"] = "2";
  expect_error(launch_of(settings, 3), 2, {"parallel.tensor = 2 does not divide the 3 ranks", "1 or 3"});
  settings["parallel.tensor"] = "1";
  settings["parallel.base_shards"] = "2";
  expect_error(launch_of(settings, 3), 2, {"parallel.base_shards = \"2\" does not divide the 3 data-parallel ranks", "1 or 3"});
  settings["parallel.base_shards"] = "all";
  settings["parallel.tensor"] = "9";
  expect_error(launch_of(settings, 9), 2,
               {"parallel.tensor = 9", "8 attention heads", "at most 8", "of 9 ranks, parallel.tensor = 3 is the nearest"});
}

/// Rank 1 is started with other arguments than rank 0 (mpirun's colon), and optionally in another folder.
Launch with_another_rank(const Settings& first, const Settings& second, const fs::path& folder = {}) {
  Launch launch = launch_of(first, 1);
  std::vector<std::string> words = {":", "-np", "1"};
  if (!folder.empty()) {
    words.insert(words.end(), {"-wdir", folder.string()});
  }
  words.emplace_back(LORA_DIST_PROGRAM);
  launch.arguments.insert(launch.arguments.end(), words.begin(), words.end());
  const Launch other = launch_of(second, 1);
  launch.arguments.insert(launch.arguments.end(), other.arguments.begin(), other.arguments.end());
  return launch;
}

TEST(Mesh, ARankWithOtherSettingsIsNamed) {
  const Scratch scratch;
  const Settings settings = mesh_run(scratch / "out");
  Settings other = settings;
  other["adapter.r"] = "5";
  expect_error(with_another_rank(settings, other), 2, {"rank 1: adapter.r is 5 here and", "on rank 0", "the same configuration"});
}

TEST(Mesh, ARankWithAnotherModelIsNamed) {
  const Scratch scratch;
  Settings settings = mesh_run(scratch / "out");
  settings["model.path"] = "model";  // in the folder that a rank starts in
  for (const char* rank : {"0", "1"}) {
    fs::create_directory(scratch / rank);
    copy_of_model(scratch / rank / "model");
  }
  const fs::path config = scratch / "1" / "model" / "config.json";
  json changed = read_json(config);
  changed["rms_norm_eps"] = 1e-4;
  put_file(config, changed.dump());
  Launch launch = with_another_rank(settings, settings, scratch / "1");
  launch.folder = scratch / "0";
  expect_error(launch, 4, {"rank 1: model is another model here than on rank 0", "copy the same folder"});
}

}  // namespace
}  // namespace lora_dist::program::mesh_test

// Full fine-tuning against AdamW on transformers' models (tests/golden/full); the same bits on every number of data ranks; tensor
// ranks; checkpoints that resume on another mesh; memory of a rank; the folder that comes out.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "src/core/with_commas.h"
#include "tests/program/full_runs.h"

namespace lora_dist::program::full_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class FullSteps : public testing::TestWithParam<const char*> {};

TEST_P(FullSteps, FollowTransformers) {
  const std::string name = GetParam();
  const json golden = read_json(source("tests/golden/full") / (name + ".json"));
  const auto base = golden["base"].get<std::string>();
  const Scratch scratch;
  Settings settings =
      full_steps_of(base, training_rows(source("tests/golden/families") / base, scratch / "train.jsonl"), scratch / "out");
  if (!golden["trainable"].empty()) {
    settings["train.trainable"] = golden["trainable"].dump();
  }
  const Finished run = expect_success(launch_of(settings, 1));
  EXPECT_NE(run.out.find("trainable params: " + with_commas(golden["trained"].get<std::int64_t>())), std::string::npos)
      << run.out;
  double loss = 0.0;
  double norm = 0.0;
  const std::vector<json> lines = read_lines(scratch / "out/metrics.jsonl");
  ASSERT_EQ(lines.size(), 8U);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    loss = std::max(loss, std::fabs(lines[i]["loss"].get<double>() - golden["losses"][i].get<double>()));
    norm = std::max(norm, std::fabs(lines[i]["grad_norm"].get<double>() - golden["grad_norms"][i].get<double>()));
  }
  Weights expected = read_weights(source("tests/golden/families") / base);
  for (const auto& [tensor, change] : read_weights(source("tests/golden/full") / (name + ".safetensors"))) {
    std::ranges::transform(change, expected.at(tensor), expected.at(tensor).begin(), std::plus());
  }
  const double weights = largest_difference(read_weights(scratch / "out/model"), expected);
  EXPECT_LE(loss, 1e-4);
  EXPECT_LE(norm, 1e-3);
  EXPECT_LE(weights, 1e-3);  // AdamW divides small gradients by their own size
  std::printf("%-12s: largest difference of loss %.2e, of the gradient's norm %.2e, of weights %.2e\n", GetParam(), loss, norm,
              weights);
}

INSTANTIATE_TEST_SUITE_P(All, FullSteps, testing::Values("llama3", "qwen3", "gpt2", "llama3_part"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Full, HasTheSameBitsOnOneToFourRanks) {
  const Scratch scratch;
  Settings settings = full_run(scratch / "np1");
  settings["data.validation_split"] = "0.1";
  settings["eval.every"] = "5";
  expect_success(launch_of(settings, 1));
  expect_steps(scratch / "np1", 10);
  for (const int ranks : {2, 3, 4}) {
    const fs::path output = scratch / ("np" + std::to_string(ranks));
    settings["output.dir"] = output.string();
    settings["train.recompute"] = ranks == 3 ? "none" : "block";
    settings["train.micro_batches_in_flight"] = ranks == 4 ? "2" : "1";
    expect_success(launch_of(settings, ranks));
    expect_same_model(output, scratch / "np1");
    EXPECT_EQ(digests_below(output / "model_best"), digests_below(scratch / "np1/model_best"));
  }
}

/// T = 2 and 2 x 2 compute what one rank does, apart from the order of sums; their checkpoints do as well.
class FullMeshes : public testing::TestWithParam<const char*> {};

TEST_P(FullMeshes, ComputeTheSame) {
  const Scratch scratch;
  const fs::path rows = training_rows(source("tests/golden/families") / GetParam(), scratch / "train.jsonl");
  const auto run = [&](const std::string& name, int ranks, const std::string& tensor, bool sequence_parallel) {
    Settings settings = full_steps_of(GetParam(), rows, scratch / name);
    settings["parallel.tensor"] = tensor;
    settings["parallel.sequence_parallel"] = sequence_parallel ? "true" : "false";
    expect_success(launch_of(settings, ranks));
    return read_weights(scratch / name / "model");
  };
  const Weights alone = run("alone", 1, "1", false);
  const double two = largest_difference(run("two", 2, "2", false), alone);
  const double four = largest_difference(run("four", 4, "2", false), alone);
  const double shards = largest_difference(run("shards", 2, "2", true), alone);
  for (const double difference : {two, four, shards}) {
    EXPECT_LE(difference, 3e-4);  // AdamW divides small gradients by their own size
  }
  std::printf("%s: largest difference on two tensor ranks %.2e, on 2 x 2 %.2e, with sequence parallelism %.2e\n", GetParam(), two,
              four, shards);
}

INSTANTIATE_TEST_SUITE_P(All, FullMeshes, testing::Values("qwen3", "gpt2", "olmo2", "phi3"),
                         [](const auto& info) { return std::string(info.param); });

/// A run to step 4 on one mesh, and from there on others.
TEST(Full, ResumesOnAnyMeshToTheBit) {
  const Scratch scratch;
  Settings settings = full_run(scratch / "whole");
  settings["train.trainable"] = R"(["model\\.layers\\.[1-3]\\..*", "model\\.embed_tokens\\.weight"])";
  expect_success(launch_of(settings, 1));
  const auto go_on = [&](const std::string& name, const fs::path& from, int ranks, const std::string& tensor) {
    const fs::path output = scratch / name;
    fs::create_directories(output / "checkpoints");
    fs::copy(from, output / "checkpoints" / from.filename(), fs::copy_options::recursive);
    settings["output.dir"] = output.string();
    settings["parallel.tensor"] = tensor;
    const Finished run = expect_success(launch_of(settings, ranks));
    EXPECT_NE(run.out.find("resuming from"), std::string::npos);
    return output;
  };
  settings["checkpoint.keep"] = "10";
  const fs::path many = scratch / "many";
  settings["output.dir"] = many.string();
  expect_success(launch_of(settings, 3));
  EXPECT_EQ(digests_below(many / "model"), digests_below(scratch / "whole/model"));
  const fs::path early = many / "checkpoints/step_00000004";
  for (const int ranks : {1, 2, 4}) {
    const fs::path output = go_on("from_three_on_" + std::to_string(ranks), early, ranks, "1");
    EXPECT_EQ(digests_below(output / "model"), digests_below(scratch / "whole/model")) << ranks;
  }
  // the state itself, through a mesh that cuts it in another way
  const fs::path cut = go_on("on_two_by_two", many / "checkpoints/step_00000010", 4, "2");
  EXPECT_EQ(digests_below(cut / "model"), digests_below(scratch / "whole/model"));
  const fs::path four = go_on("four_steps", early, 4, "2");
  const fs::path last = four / "checkpoints/step_00000010";
  const fs::path back = go_on("back_on_one", last, 1, "1");
  EXPECT_EQ(digests_below(back / "model"), digests_below(four / "model"));
}

/// The last quantity of a row of the memory table: "885 KiB".
double bytes_in(const std::string& row) {
  std::istringstream words(row);
  std::string unit;
  std::string value;
  for (std::string word; words >> word;) {
    value = unit;
    unit = word;
  }
  return std::stod(value) * (unit == "KiB" ? 0x1p10 : unit == "MiB" ? 0x1p20 : 1.0);
}

/// What a rank holds of weights, gradients and moments on two ranks, over what one rank holds.
TEST(Full, HalvesWhatARankHolds) {
  const Scratch scratch;
  Settings settings = full_run(scratch / "one");
  settings["train.max_steps"] = "1";
  const auto held = [&](int ranks) {
    settings["output.dir"] = (scratch / std::to_string(ranks)).string();
    std::map<std::string, std::string> rows = memory_rows(expect_success(launch_of(settings, ranks)).out);
    double bytes = 0.0;
    for (const char* kind : {"base shard", "embedding and head", "adapters", "optimizer"}) {
      bytes += bytes_in(rows.at(kind));
    }
    return bytes;
  };
  const double one = held(1);
  const double two = held(2);
  std::printf("held by a rank: %.3g bytes on one, %.3g on two (%.1f %%)\n", one, two, 100.0 * two / one);
  EXPECT_LE(two, 0.52 * one);
}

TEST(Full, WritesAFolderLikeTheBase) {
  const Scratch scratch;
  Settings settings = full_run(scratch / "out");
  settings["train.max_steps"] = "2";
  expect_success(launch_of(settings, 2));
  const fs::path base = settings.at("model.path");
  for (const auto& entry : fs::directory_iterator(base)) {
    const fs::path name = entry.path().filename();
    EXPECT_TRUE(fs::exists(scratch / "out/model" / name)) << name;
  }
  EXPECT_FALSE(fs::exists(scratch / "out/adapter"));
  const Weights trained = read_weights(scratch / "out/model");
  const Weights before = read_weights(base);
  for (const auto& [name, values] : before) {
    EXPECT_NE(trained.at(name), values) << name;
  }
  const fs::path rows = scratch.write("rows.jsonl", R"({"input_ids": [1, 403, 407, 261, 378, 7, 200, 44]})"
                                                    "\n");
  const auto ours = scores_of({"--model", (scratch / "out/model").string(), "--quantization", "none"}, rows, scratch / "ours");
  const auto theirs = scores_of({"--model", base.string(), "--quantization", "none"}, rows, scratch / "base");
  EXPECT_GT(largest_change(ours, theirs), 1e-3);
}

TEST(Full, RefusesWhatItCannotDo) {
  const Scratch scratch;
  const auto refuses = [&](const Settings& more, const std::vector<std::string>& texts) {
    Settings settings = full_run(scratch / "out");
    for (const auto& [key, value] : more) {
      settings[key] = value;
    }
    expect_error_on_1_and_3_ranks(launch_of(settings, 0), 2, texts);
  };
  refuses({{"model.quantization", "nf4"}}, {"model.quantization", "set model.quantization = \"none\""});
  refuses({{"adapter.rslora", "true"}}, {"adapter.rslora is an option of", "adapter.method is full"});
  refuses({{"adapter.method", "[\"full\", \"bottleneck\"]"}}, {"adapter.method", "leave the others out"});
  refuses({{"tokenizer.add_tokens", "[\"<x>\"]"}}, {"tokenizer.add_tokens is an option of", "adapter.method is full"});
  refuses({{"adapter.init_from", (scratch / "adapter").string()}}, {"adapter.init_from", "merge the adapter"});
  refuses({{"parallel.base_device", "host"}}, {"parallel.base_device", "auto"});
  refuses({{"train.trainable", "[\"model.layers.9.*\"]"}}, {"train.trainable", "matches no tensor", "must match a whole name"});
  refuses({{"model.path", source("tests/golden/families/gpt2").string()}, {"train.trainable", R"([".*\\.ln_1\\.bias"])"}},
          {"train.trainable matches one of transformer.h.0.ln_1.weight and transformer.h.0.ln_1.bias"});
  refuses({{"train.trainable", "[\"(\"]"}}, {"train.trainable", "regular expression"});
  refuses({{"adapter.method", "lora"}, {"train.trainable", "[\".*\"]"}}, {"train.trainable", "adapter.method = \"full\""});
  refuses({{"model.path", source("tests/golden/prequantized/llama_nf4_nested").string()}}, {"model.path", "quantized"});
  Settings settings = full_run(scratch / "out");
  settings["parallel.tensor"] = "8";
  expect_error(launch_of(settings, 8), 2, {"parallel.tensor", "key-value head", "at most 4"});
}

TEST(Full, TellsOfKeysWithoutEffect) {
  const Scratch scratch;
  Settings settings = full_run(scratch / "out");
  settings["train.max_steps"] = "1";
  settings["parallel.base_shards"] = "1";
  settings["parallel.shard_vocabulary"] = "false";
  const Finished run = expect_success(launch_of(settings, 2));
  EXPECT_NE(run.err.find("parallel.base_shards has no effect"), std::string::npos);
  EXPECT_NE(run.err.find("parallel.shard_vocabulary = false has no effect"), std::string::npos);
}

/// Small tensors of one kind, and none: each micro-batch's gradient counts once.
TEST(FullParts, DoNotDependOnTheNumberOfMicroBatches) {
  for (const auto& [base, pattern] :
       {std::pair{"qwen3", R"([".*\\.[qk]_norm\\.weight"])"}, std::pair{"gpt2", R"(["transformer\\.wpe\\.weight"])"},
        std::pair{"llama3", R"([".*\\.down_proj\\.weight"])"}}) {
    const fs::path model = source("tests/golden/families") / base;
    const Scratch scratch;
    const fs::path rows = training_rows(model, scratch / "train.jsonl");
    const auto losses = [&](const std::string& micro_batch) {
      Settings settings = steps_of(model, "none", rows, scratch / micro_batch);
      settings.erase("adapter.init_from");
      settings.erase("adapter.dropout");
      settings.erase("model.double_quant");
      settings["adapter.method"] = "full";
      settings["train.trainable"] = pattern;
      settings["train.micro_batch"] = micro_batch;
      expect_success(launch_of(settings, 2));
      return read_lines(scratch / micro_batch / "metrics.jsonl");
    };
    const std::vector<json> one = losses("1");
    const std::vector<json> four = losses("4");
    ASSERT_EQ(one.size(), 8U);
    for (std::size_t i = 0; i < one.size(); ++i) {
      EXPECT_NEAR(one[i]["loss"].get<double>(), four[i]["loss"].get<double>(), 1e-4) << base << " step " << i;
      const double norm = four[i]["grad_norm"].get<double>();
      EXPECT_NEAR(one[i]["grad_norm"].get<double>(), norm, 1e-3 * norm) << base << " step " << i;
    }
  }
}

}  // namespace
}  // namespace lora_dist::program::full_test

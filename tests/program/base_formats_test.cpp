// The base in FP4, in int8, and prequantized by bitsandbytes: training, scoring, merging, resuming.
#include <gtest/gtest.h>

#include "tests/program/fixtures.h"

namespace lora_dist::program::base_formats_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Settings short_run_in(const std::string& quantization, const fs::path& output) {
  Settings settings = short_run(output);
  settings["model.quantization"] = quantization;
  settings["train.max_steps"] = "4";
  return settings;
}

TEST(BaseFormats, TrainTheSameBitsOnOneAndTwoRanks) {
  const Scratch scratch;
  for (const char* format : {"fp4", "int8"}) {
    const fs::path one = scratch / (std::string(format) + "1");
    const fs::path two = scratch / (std::string(format) + "2");
    const Finished outcome = expect_success(launch_of(short_run_in(format, one), 1));
    EXPECT_NE(outcome.out.find(format == std::string("fp4") ? "base FP4 with double quantization, blocks of 64"
                                                            : "base int8, a scale for each row"),
              std::string::npos)
        << outcome.out;
    expect_success(launch_of(short_run_in(format, two), 2));
    expect_steps(one, 4);
    expect_same_training(two, one);
  }
  EXPECT_NE(column(read_lines(scratch / "fp41/metrics.jsonl"), "loss"),
            column(read_lines(scratch / "int81/metrics.jsonl"), "loss"));
}

TEST(BaseFormats, AnotherFormatIsRefusedWhenARunGoesOn) {
  const Scratch scratch;
  expect_success(launch_of(short_run_in("fp4", scratch / "out"), 1));
  Settings settings = short_run_in("nf4", scratch / "out");
  settings["train.max_steps"] = "6";
  expect_error(launch_of(settings, 1), 2, {"model.quantization", "fp4", "nf4"});
  settings["model.quantization"] = "fp4";
  expect_success(launch_of(settings, 2));
  expect_steps(scratch / "out", 6);
}

/// fp32 files: only the order of sums differs from base and adapter side by side.
TEST(BaseFormats, MergedOntoDequantizedWeightsItIsTheModelThatWasTrained) {
  const Scratch scratch;
  const std::string model = source("demo/model").string();
  const std::string adapter = source("tests/golden/lora_steps/nf4_double_all_linear/final").string();
  const fs::path input = source("tests/golden/stories260k/score_input.jsonl");
  for (const std::string format : {"fp4", "int8"}) {
    const fs::path merged = scratch / format;
    Launch launch;
    launch.arguments = {"merge", "--model", model, "--adapter", adapter, "--quantization", format, "--output", merged.string()};
    expect_success(launch);
    const auto trained =
        scores_of({"--model", model, "--adapter", adapter, "--quantization", format}, input, scratch / "trained.jsonl");
    EXPECT_LE(largest_change(trained, scores_of({"--model", merged.string()}, input, scratch / "merged.jsonl")), 5e-5) << format;
  }
}

Settings run_on_quantized(const std::string& folder, const Scratch& scratch, const fs::path& output) {
  Settings settings = short_run(output);
  settings.erase("model.quantization");
  settings["model.path"] = source(folder).string();
  settings["data.train"] = toml_list({put_golden_rows(scratch, folder)});
  settings["data.max_length"] = "64";
  settings["train.max_steps"] = "4";
  return settings;
}

const std::string kFp4 = "tests/golden/prequantized/gpt2_fp4_in_bf16";
const std::string kNf4 = "tests/golden/prequantized/llama_nf4_nested";

TEST(QuantizedFolder, TrainsAsItIsAndSaysSo) {
  const Scratch scratch;
  for (const std::string& folder : {kFp4, kNf4}) {
    const fs::path one = scratch / (fs::path(folder).filename().string() + "1");
    const fs::path two = scratch / (fs::path(folder).filename().string() + "2");
    const Finished outcome = expect_success(launch_of(run_on_quantized(folder, scratch, one), 1));
    const bool fp4 = folder == kFp4;
    EXPECT_NE(outcome.out.find(fp4 ? "base FP4, blocks of 64" : "base NF4 with double quantization, blocks of 64"),
              std::string::npos);
    // No note if the defaults agree.
    EXPECT_EQ(outcome.err.find("are quantized already, and stay so: FP4, blocks of 64") != std::string::npos, fp4);
    const std::string resolved = get_file(one / "config.resolved.toml");
    EXPECT_NE(resolved.find(fp4 ? "quantization = \"fp4\"" : "quantization = \"nf4\""), std::string::npos) << resolved;
    EXPECT_NE(resolved.find(fp4 ? "double_quant = false" : "double_quant = true"), std::string::npos) << resolved;
    expect_success(launch_of(run_on_quantized(folder, scratch, two), 2));
    expect_same_training(two, one);
    Settings longer = run_on_quantized(folder, scratch, one);
    longer["train.max_steps"] = "6";
    expect_success(launch_of(longer, 2));
    expect_steps(one, 6);
  }
}

TEST(QuantizedFolder, IsInspected) {
  Launch launch;
  launch.arguments = {"inspect", "--verify", source(kNf4).string()};
  const Finished outcome = expect_success(launch);
  EXPECT_NE(outcome.out.find("weights         NF4 with double quantization, blocks of 64 (by bitsandbytes)"), std::string::npos);
  launch.arguments.back() = source("demo/model").string();
  EXPECT_NE(expect_success(launch).out.find("weights         not quantized"), std::string::npos);
}

Launch merge_of(const std::vector<std::string>& options, int ranks) {
  Launch launch;
  launch.ranks = ranks;
  launch.arguments = {"merge"};
  launch.arguments.insert(launch.arguments.end(), options.begin(), options.end());
  return launch;
}

/// Merging gives floats in a plain folder.
TEST(QuantizedFolder, MergesOntoWhatItsWeightsStandFor) {
  const Scratch scratch;
  for (const std::string& folder : {kFp4, kNf4}) {
    const std::string name = fs::path(folder).filename().string();
    const std::string model = source(folder).string();
    const fs::path rows = put_golden_rows(scratch, folder);
    expect_success(launch_of(run_on_quantized(folder, scratch, scratch / name), 1));
    const std::string adapter = (scratch / name / "adapter").string();
    const auto trained = scores_of({"--model", model, "--adapter", adapter}, rows, scratch / "trained.jsonl");
    const std::string merged = (scratch / (name + "_merged")).string();
    const Finished outcome = expect_success(
        merge_of({"--model", model, "--adapter", adapter, "--output", merged, "--text", rows.string()}, folder == kFp4 ? 1 : 2));
    EXPECT_NE(outcome.out.find("quantized base and adapter"), std::string::npos);
    // fp32 files: only the order of sums differs from base and adapter side by side
    EXPECT_LE(largest_change(trained, scores_of({"--model", merged}, rows, scratch / "merged.jsonl")), 5e-5);
    json config = read_json(source(folder) / "config.json");
    config.erase("quantization_config");
    EXPECT_EQ(read_json(fs::path(merged) / "config.json"), config);
    EXPECT_EQ(read_json(fs::path(merged) / "lora_dist_merge.json")["quantization"], folder == kFp4 ? "fp4" : "nf4");

    const std::string other = (scratch / "other").string();
    expect_error_on_1_and_3_ranks(merge_of({"--model", model, "--adapter", adapter, "--output", other, "--onto", "full"}, 1), 2,
                                  {"--onto full: " + model + " does not hold the original weights"});
    expect_error(merge_of({"--model", model, "--adapter", adapter, "--output", other, "--quantization", "int8"}, 1), 2,
                 {"--quantization asks for another base (int8"});
  }
}

TEST(QuantizedFolder, AnotherFormatThatIsAskedForIsRefused) {
  const Scratch scratch;
  Settings settings = run_on_quantized(kFp4, scratch, scratch / "out");
  settings["model.quantization"] = "int8";
  expect_error_on_1_and_3_ranks(launch_of(settings, 1), 2,
                                {"model.quantization asks for another base (int8, a scale for each row)", source(kFp4).string(),
                                 "are quantized already (FP4, blocks of 64)"});
  for (const char* other : {"none", "nf4"}) {
    settings["model.quantization"] = other;
    expect_error(launch_of(settings, 1), 2, {"model.quantization asks for another base", "(FP4, blocks of 64)"});
  }
  settings["model.quantization"] = "fp4";
  settings["model.double_quant"] = "true";
  expect_error(launch_of(settings, 1), 2, {"(FP4 with double quantization, blocks of 64)", "(FP4, blocks of 64)"});
  Launch score;
  score.arguments = {"score",
                     "--model",
                     source(kNf4).string(),
                     "--quantization",
                     "none",
                     "--input",
                     put_golden_rows(scratch, kNf4).string(),
                     "--output",
                     (scratch / "scores.jsonl").string()};
  expect_error(score, 2,
               {"--quantization asks for another base (not quantized)", "(NF4 with double quantization, blocks of 64)"});
}

}  // namespace
}  // namespace lora_dist::program::base_formats_test

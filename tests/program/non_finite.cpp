// A loss that is not finite: exit code 7, with the rows, and nothing of it in the adapter or the checkpoints.
#include <gtest/gtest.h>

#include "tests/program/fixtures.h"

namespace lora_dist::program {
namespace {

namespace fs = std::filesystem;

/// The first update throws the adapter out of all bounds, so that step 2 and all after it are not finite.
Settings diverging_run(const fs::path& output) {
  Settings settings = short_run(output);
  settings["adapter.alpha"] = "1e6";
  settings["train.learning_rate"] = "10";
  settings["train.schedule"] = "constant";
  settings["train.warmup_ratio"] = "0";
  settings["train.max_steps"] = "4";
  settings["checkpoint.every"] = "1";
  return settings;
}

TEST(NonFinite, EndsTheJobAndLeavesTheCheckpointBefore) {
  const Scratch scratch;
  const std::string rows = source("tests/golden/lora_steps/train.jsonl").string() + ":";
  for (const int ranks : {1, 3}) {
    const fs::path output = scratch / std::to_string(ranks);
    expect_error(launch_of(diverging_run(output), ranks), 7,
                 {"step 2: loss or gradient is not finite", rows, "train.max_skipped_steps"});
    expect_steps(output, 1);
    EXPECT_EQ(checkpoints_of(output), std::vector<std::string>{"step_00000001"});
    const auto before = digests_below(output / "checkpoints");
    expect_error(launch_of(diverging_run(output), ranks), 7, {"step 2: loss or gradient is not finite"});
    EXPECT_EQ(digests_below(output / "checkpoints"), before);
  }
}

TEST(NonFinite, StepsMayBeLeftOut) {
  const Scratch scratch;
  Settings settings = diverging_run(scratch / "out");
  settings["train.max_skipped_steps"] = "2";
  expect_error(launch_of(settings, 2), 7, {"step 4: loss or gradient is not finite"});
  settings["train.max_skipped_steps"] = "3";
  const Finished finished = expect_success(launch_of(settings, 2));
  EXPECT_EQ(count_of(finished.err, "step 4 is not finite and was left out (3 of 3 allowed)"), 1) << finished.err;
  expect_steps(scratch / "out", 4);
  const std::vector<nlohmann::json> losses = column(read_lines(scratch / "out/metrics.jsonl"), "loss");
  EXPECT_TRUE(losses[0].is_number());
  EXPECT_TRUE(losses[1].is_null() && losses[2].is_null() && losses[3].is_null());
  Settings one = diverging_run(scratch / "one");
  one["train.max_steps"] = "1";
  expect_success(launch_of(one, 1));
  EXPECT_TRUE(get_file(scratch / "one/adapter/adapter_model.safetensors") ==
              get_file(scratch / "out/adapter/adapter_model.safetensors"));
}

TEST(NonFinite, AnEvaluationOrScoreThatIsNotFinite) {
  const Scratch scratch;
  const fs::path model = copy_of_model(scratch / "model");
  const fs::path file = model / "model.safetensors";
  put_bytes_at(file, offset_of_tensor(file, "model.norm.weight"), std::string("\x00\x00\x00\x7f", 4));  // 1.7e38
  Settings settings = short_run(scratch / "out");
  settings["model.path"] = model.string();
  settings["data.validation_split"] = "0.2";
  for (const int ranks : {1, 3}) {
    expect_error(launch_of(settings, ranks), 7, {"the evaluation's loss is not finite"});
  }
  put_file(scratch / "in.jsonl", "{\"id\":\"a\",\"input_ids\":[1,2,3]}\n{\"id\":\"b\",\"input_ids\":[1,2,3]}\n");
  Launch score;
  score.arguments = {
      "score", "--model", model.string(), "--input", (scratch / "in.jsonl").string(), "--output", (scratch / "o").string()};
  expect_error_on_1_and_3_ranks(score, 7, {"line \"a\"", "not finite"});
  Launch generate;
  generate.arguments = {"generate", "--model", model.string(), "--prompt", "Tom"};
  expect_error_on_1_and_3_ranks(generate, 7, {"not finite"});
}

}  // namespace
}  // namespace lora_dist::program

// Damaged checkpoints, and those of another model or other settings: an older valid one is used, or the job ends with an error.
#include <gtest/gtest.h>

#include <memory>

#include "tests/program/fixtures.h"

namespace lora_dist::program::checkpoint_errors_test {
namespace {

namespace fs = std::filesystem;

/// One finished run of two ranks with checkpoints at 4, 8 and 10, copied by each test.
class CheckpointErrors : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<Scratch>();
    Settings settings = short_run(finished());
    settings["checkpoint.every"] = "4";
    expect_success(launch_of(settings, 2));
    ASSERT_EQ(checkpoints_of(finished()), (std::vector<std::string>{"step_00000004", "step_00000008", "step_00000010"}));
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static fs::path finished() { return *folder_ / "finished"; }

  /// A copy of the run in which nothing later than `last` was saved.
  fs::path run_up_to(const std::string& last) {
    const fs::path copy = scratch_ / "run";
    fs::remove_all(copy);
    fs::copy(finished(), copy, fs::copy_options::recursive);
    for (const std::string& name : checkpoints_of(copy)) {
      if (name > last) {
        fs::remove_all(copy / "checkpoints" / name);
      }
    }
    return copy;
  }

  static Settings settings_of(const fs::path& output) {
    Settings settings = short_run(output);
    settings["checkpoint.every"] = "4";
    return settings;
  }

  Scratch scratch_;
  static std::unique_ptr<Scratch> folder_;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
};

std::unique_ptr<Scratch> CheckpointErrors::folder_;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

struct Damage {
  std::string file;
  double part;  // of the file, where a bit is flipped; -1: the file is removed; -2: cut in half
};

void damage(const fs::path& checkpoint, const Damage& what) {
  if (what.part == -1) {
    fs::remove(checkpoint / what.file);
  } else if (what.part == -2) {
    truncate_file(checkpoint / what.file, 0.5);
  } else {
    flip_bit(checkpoint / what.file, what.part);
  }
}

TEST_F(CheckpointErrors, ADamagedOneIsPassedOverForTheOneBefore) {
  int ranks = 0;
  for (const Damage& what : {Damage{"shard_00000.h5", 0.0}, Damage{"shard_00001.h5", 0.5}, Damage{"MANIFEST.json", 0.5},
                             Damage{"shard_00001.h5", -1}, Damage{"MANIFEST.json", -1}, Damage{"shard_00000.h5", -2}}) {
    const fs::path run = run_up_to("step_00000008");
    damage(run / "checkpoints/step_00000008", what);
    ranks = ranks % 3 + 1;
    const Finished resumed = expect_success(launch_of(settings_of(run), ranks));
    EXPECT_EQ(count_of(resumed.err, "lora_dist: warning: passing over the checkpoint"), 1) << resumed.err;
    EXPECT_NE(resumed.err.find(what.file), std::string::npos) << resumed.err;
    EXPECT_NE(resumed.out.find("step_00000004 (step 4)"), std::string::npos) << resumed.out;
    expect_steps(run, 10);
    expect_same_training(run, finished());
  }
}

TEST_F(CheckpointErrors, NoneSoundEndsTheJobAndChangesNothing) {
  const fs::path run = run_up_to("step_00000008");
  damage(run / "checkpoints/step_00000008", {"shard_00001.h5", 0.7});
  damage(run / "checkpoints/step_00000004", {"MANIFEST.json", 0.2});
  const auto before = digests_below(run);
  expect_error_on_1_and_3_ranks(launch_of(settings_of(run), 1), 4,
                                {(run / "checkpoints").string(), "none is sound", "shard_00001.h5", "start anew"});
  EXPECT_EQ(digests_below(run), before);
}

TEST_F(CheckpointErrors, ANamedOneMustBeSound) {
  const fs::path run = run_up_to("step_00000008");
  damage(run / "checkpoints/step_00000008", {"shard_00000.h5", 0.7});
  Settings settings = settings_of(run);
  settings["checkpoint.resume"] = (run / "checkpoints/step_00000008").string();
  expect_error_on_1_and_3_ranks(launch_of(settings, 1), 4, {"step_00000008 is not sound", "shard_00000.h5"});
  settings["checkpoint.resume"] = (run / "checkpoints/step_00000007").string();
  expect_error(launch_of(settings, 0), 4, {"step_00000007"});
  settings["checkpoint.resume"] = (run / "checkpoints/step_00000004").string();
  expect_success(launch_of(settings, 2));
  expect_same_training(run, finished());
}

TEST_F(CheckpointErrors, ChangesThatWouldAlterWhatWasTrainedAreRefusedByName) {
  const fs::path run = run_up_to("step_00000008");
  const auto before = digests_below(run);
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"adapter.r", "8"},          {"adapter.target_modules", "[\"q_proj\"]"},
      {"adapter.dropout", "0"},    {"train.seed", "43"},
      {"train.global_batch", "6"}, {"model.quantization", "none"},
      {"data.packing", "false"},   {"train.learning_rate", "1e-4"}};
  for (const auto& [key, value] : changes) {
    Settings settings = settings_of(run);
    settings[key] = value;
    expect_error(launch_of(settings, 0), 2, {key, "change it back to go on"});
  }
  Settings settings = settings_of(run);
  settings["adapter.r"] = "8";
  expect_error_on_1_and_3_ranks(launch_of(settings, 1), 2, {"adapter.r = ", "4", "8"});
  EXPECT_EQ(digests_below(run), before);
}

TEST_F(CheckpointErrors, OtherDataAreRefused) {
  const fs::path rows = scratch_ / "rows.jsonl";
  fs::copy_file(source("tests/golden/lora_steps/train.jsonl"), rows);
  Settings settings = short_run(scratch_ / "run");
  settings["data.train"] = toml_list({rows});
  settings["train.max_steps"] = "3";
  expect_success(launch_of(settings, 1));
  put_file(rows, get_file(rows) + "{\"input_ids\":[1,2,3],\"labels\":[1,2,3]}\n");
  settings["train.max_steps"] = "5";
  expect_error_on_1_and_3_ranks(launch_of(settings, 1), 2, {"training samples (digest)"});
}

TEST_F(CheckpointErrors, AnotherBaseModelIsRefused) {
  const fs::path model = copy_of_model(scratch_ / "model");
  Settings settings = short_run(scratch_ / "run");
  settings["model.path"] = model.string();
  settings["train.max_steps"] = "3";
  expect_success(launch_of(settings, 2));
  const auto before = digests_below(scratch_ / "run");
  const fs::path file = model / "model.safetensors";
  const std::size_t at = offset_of_tensor(file, "model.layers.2.self_attn.k_proj.weight") + 128;
  put_bytes_at(file, at, std::string(1, static_cast<char>(get_file(file)[at] ^ 1)));
  settings["train.max_steps"] = "5";
  expect_error_on_1_and_3_ranks(launch_of(settings, 1), 4, {"belongs to another base model", "model.path"});
  EXPECT_EQ(digests_below(scratch_ / "run"), before);
}

}  // namespace
}  // namespace lora_dist::program::checkpoint_errors_test

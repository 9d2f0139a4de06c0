// The compute dtype of a checkpoint: explicit, by "auto", or not recorded.
#include <gtest/gtest.h>

#include <fstream>

#include "src/checkpoint/manifest.h"
#include "tests/program/fixtures.h"

namespace lora_dist::program::compute_dtype_test {
namespace {

/// Two steps of a run that makes four.
Settings half_done(const std::filesystem::path& output) {
  Settings settings = short_run(output);
  settings["train.max_steps"] = "2";
  settings["train.schedule"] = "constant";
  settings["train.warmup_ratio"] = "0";
  expect_success(launch_of(settings, 1));
  settings["train.max_steps"] = "4";
  return settings;
}

TEST(ComputeDtype, AutoAndItsMeaningAreTheSame) {
  const Scratch scratch;
  Settings settings = half_done(scratch / "out");
  const auto manifest = read_json(scratch / "out/checkpoints/step_00000002/MANIFEST.json");
  EXPECT_EQ(manifest["settings"]["model.compute_dtype"], "\"fp32\"");
  settings["model.compute_dtype"] = "fp32";
  expect_success(launch_of(settings, 2));
  expect_steps(scratch / "out", 4);
}

/// As written before the type was recorded.
TEST(ComputeDtype, ACheckpointWithoutItIsResumed) {
  const Scratch scratch;
  const Settings settings = half_done(scratch / "out");
  const std::filesystem::path file = scratch / "out/checkpoints/step_00000002/MANIFEST.json";
  auto manifest = read_json(file);
  manifest["settings"]["model.compute_dtype"] = "\"auto\"";
  manifest.erase("manifest_sha256");
  std::ofstream(file) << seal_manifest(manifest);
  const Finished resumed = expect_success(launch_of(settings, 2));
  EXPECT_NE(resumed.out.find("resuming from"), std::string::npos) << resumed.out;
  expect_steps(scratch / "out", 4);
}

}  // namespace
}  // namespace lora_dist::program::compute_dtype_test

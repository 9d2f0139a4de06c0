// plan for a GPU beside runs on the emulated one: the same buffers, from a machine that has none.
#include <gtest/gtest.h>

#include "tests/program/fixtures.h"

namespace lora_dist::program::plan_test {
namespace {

/// What operators keep for themselves is estimated, and part of the total.
std::map<std::string, std::string> buffers_of(const std::string& out) {
  std::map<std::string, std::string> rows = memory_rows(out);
  EXPECT_TRUE(rows.contains("operator scratch")) << out;
  rows.erase("operator scratch");
  rows.erase("total");
  return rows;
}

TEST(PlanForCuda, BuffersAreThoseOfARun) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["parallel.backend"] = "cuda";
  settings["data.max_length"] = "24";
  settings["train.max_steps"] = "1";
  settings["train.global_batch"] = "2";
  settings["checkpoint.every"] = "0";
  struct Case {
    int ranks;
    Settings more;
  };
  const std::vector<Case> cases = {
      {1, {}},
      {2, {{"train.recompute", "none"}, {"model.quantization", "none"}, {"model.compute_dtype", "fp32"}}},
      {2, {{"parallel.tensor", "2"}, {"train.recompute", "selective"}}},
      {2, {{"parallel.tensor", "2"}, {"parallel.sequence_parallel", "true"}}},
      {2, {{"parallel.base_device", "host"}}}};
  for (const Case& each : cases) {
    Settings run_settings = settings;
    for (const auto& [key, value] : each.more) {
      run_settings[key] = value;
    }
    Launch run = launch_of(run_settings, each.ranks);
    run.environment["LORA_DIST_EMULATED_OPEN"] = "1";
    run.environment["OMP_NUM_THREADS"] = "1";
    run.timeout_seconds = 400.0;
    Launch plan = launch_of(run_settings, 0, "plan");
    plan.arguments.insert(plan.arguments.end(), {"--ranks", std::to_string(each.ranks)});
    plan.environment["LORA_DIST_EMULATED_DEVICES"] = "0";
    EXPECT_EQ(buffers_of(expect_success(plan).out), buffers_of(expect_success(run).out)) << each.ranks;
    std::filesystem::remove_all(scratch / "out");
  }
}

}  // namespace
}  // namespace lora_dist::program::plan_test

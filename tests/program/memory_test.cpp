// What a training process holds at its peak, on a shape big enough to tell.
#include <gtest/gtest.h>

#include <fstream>

#include "benchmarks/random_model.h"
#include "tests/program/fixtures.h"

namespace lora_dist::program {
namespace {

void write_rows(const std::filesystem::path& file, int rows, int length) {
  std::ofstream out(file);
  for (int row = 0; row < rows; ++row) {
    nlohmann::json ids = nlohmann::json::array();
    for (int t = 0; t < length; ++t) {
      ids.push_back((row * 7919 + t * 104729) % 8192);
    }
    out << nlohmann::json{{"input_ids", ids}, {"labels", ids}}.dump() << "\n";
  }
}

/// hidden 512, 8 layers, vocabulary 8192, batch 4 x 256, r 16 on every linear, NF4, recompute = block: at most 500 MB resident in
/// one process (transformers + PEFT + bitsandbytes: 2.4 GB).
TEST(Memory, PeakOfOneProcess) {
  const Scratch scratch;
  benchmarks::write_random_model(scratch / "model", benchmarks::hidden_512());
  write_rows(scratch / "rows.jsonl", 8, 256);
  Settings settings = {{"model.path", (scratch / "model").string()},
                       {"data.train", toml_list({scratch / "rows.jsonl"})},
                       {"data.validation_split", "0.0"},
                       {"data.max_length", "256"},
                       {"adapter.r", "16"},
                       {"adapter.target_modules", "all-linear"},
                       {"train.global_batch", "4"},
                       {"train.micro_batch", "4"},
                       {"train.max_steps", "2"},
                       {"train.recompute", "block"},
                       {"output.dir", (scratch / "out").string()}};
  expect_success(launch_of(settings, 1));
  const std::vector<nlohmann::json> steps = read_lines(scratch / "out" / "metrics.jsonl");
  ASSERT_EQ(steps.size(), 2U);
  const auto peak = steps.back()["memory_peak_bytes"].get<std::int64_t>();
  RecordProperty("peak_bytes", std::to_string(peak));
  EXPECT_GT(peak, 50'000'000);  // it is measured at all
  EXPECT_LE(peak, 500'000'000);
}

}  // namespace
}  // namespace lora_dist::program

// Command line of gpu_step_benchmark.
#pragma once

#include <string>
#include <vector>

#include "src/base/frozen_base.h"
#include "src/transformer/workspace.h"

namespace lora_dist::benchmarks {

/// One row of the table.
struct StepCase {
  std::string shape;
  ModelSpec spec;
  Quantization base = Quantization::nf4;
  Recompute recompute = Recompute::selective;
};

struct StepBenchOptions {
  std::string backend = "cuda";
  std::int64_t steps = 5;
  std::int64_t sequence_length = 2048;
  std::int64_t micro_batch = 2;
  std::int64_t global_batch = 8;
  std::int64_t product_size = 0;  // of the device's own rate: [n, n] by [n, n]
  bool help = false;
  std::vector<StepCase> cases;  // from the smallest need of memory to the largest
};

/// Throws Error(usage) for invalid options and Error(model) for an unreadable configuration.
StepBenchOptions parse_step_options(int argc, const char* const* argv);
std::string step_options_help();

}  // namespace lora_dist::benchmarks

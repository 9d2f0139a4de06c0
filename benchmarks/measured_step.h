// A training step of the random model of hidden 512, on a rank of a mesh, as timed by step_benchmark and mesh_benchmark.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "benchmarks/fixed_batch.h"
#include "src/job/open_model.h"
#include "src/train/train_step.h"

namespace lora_dist::benchmarks {

constexpr std::int64_t kSequences = 4;  // per micro-batch; the global batch has this many per rank
constexpr std::int64_t kLength = 256;

struct StepSetting {
  Quantization quantization = Quantization::nf4;
  Recompute recompute = Recompute::none;
  float dropout = 0.0F;
  int tensor = 1;
  int shards = 0;                 // data ranks that divide the base; 0: all
  bool shards_vocabulary = true;  // embedding and head too
  bool sequence_parallel = false;
};

/// The state of steps with one setting. Not movable: its members point to each other.
struct MeasuredStep {
  Device device;
  Mesh mesh;
  std::unique_ptr<OpenModel> model;
  AdapterLayout layout;
  AdapterShard part;
  TrainedBuffers buffers;
  Workspace workspace;
  std::optional<FixedBatch> batch;
  StepOptions options;
  LossScale loss_scale;
  std::int64_t steps = 0;  // done
};

/// Collective. `folder`: of write_random_model.
std::unique_ptr<MeasuredStep> make_step(const StepSetting& setting, const std::filesystem::path& folder, int threads,
                                        Communicator& world);

/// Makes one step; its seconds, of the slowest rank. Collective.
double seconds_of_step(MeasuredStep& step, Communicator& world);

/// Calls `work` with the folder of a model that rank 0 writes there and removes afterwards. Collective.
void with_random_model(Communicator& world, const char* name, const std::function<void(const std::filesystem::path&)>& work);

inline double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace lora_dist::benchmarks

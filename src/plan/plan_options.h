// What `plan` is asked: the options as they were written, and what they mean beside a configuration.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/common/dtype.h"
#include "kernels/common/stream.h"
#include "src/config/config.h"
#include "src/plan/device_specs.h"

namespace lora_dist {

inline constexpr int kMostRanks = 4096;  // that a plan is made for

/// As written; empty or 0: not given.
struct PlanOptions {
  std::string memory;  // of one GPU, or of a CPU rank
  int ranks = 0;
  std::string target;  // cpu | cuda
  std::string device;  // of devices()
  double efficiency = 0.45;
  double cpu_gflops = 0.0;  // that a rank on CPUs reaches
  std::string link;         // a TOML file with the five that follow
  std::string link_intra;
  std::string link_inter;
  std::string latency_intra;
  std::string latency_inter;
  int gpus_per_node = 0;
  std::int64_t samples = 0;
  std::int64_t tokens_per_sample = 0;
  std::int64_t tokens_per_sequence = 0;
  bool json = false;
};

/// How fast bytes go between ranks.
struct Link {
  double rate = 0.0;     // bytes a second and GPU, one way
  double latency = 0.0;  // seconds
};

struct Cluster {
  int gpus_per_node = 8;
  Link intra;               // between GPUs of a node; by default the device's
  Link inter{25e9, 15e-6};  // between nodes; 25 GB/s: one 200 Gbit/s adapter for each GPU
  const Link& link_of(std::int64_t neighbours) const { return neighbours <= gpus_per_node ? intra : inter; }
};

/// What the plan is for.
struct PlanTarget {
  Backend backend = Backend::cpu;
  DType dtype = DType::f32;            // that operators compute in
  const DeviceSpec* device = nullptr;  // null on CPUs
  double cpu_flops = 0.0;              // a second, that a rank on CPUs reaches; 0: no time is predicted for them
  double efficiency = 0.45;            // share of the device's products that a step reaches
  std::int64_t memory_limit = 0;       // bytes of a rank; 0: none
  std::int64_t program_bytes = std::int64_t{200} << 20U;  // of a process on CPUs, beside its buffers (program_memory.h)
  bool program_is_measured = false;
  Cluster cluster;

  bool on_device() const { return device != nullptr; }
  bool is_timed() const { return on_device() || cpu_flops > 0.0; }
  /// Floating point operations a second that a step is taken to reach.
  double flops() const {
    return !on_device() ? cpu_flops : (dtype == DType::f32 ? device->single_flops : device->half_flops) * efficiency;
  }
};

/// The target is a GPU where `options` or `config` name something that only GPUs have, else CPUs. Throws Error(usage,
/// collective): an unknown word or device, no size, rate or time, a type that the target does not compute in, a bad --link file.
PlanTarget choose_target(const PlanOptions& options, const Config& config);

}  // namespace lora_dist

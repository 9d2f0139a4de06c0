// The options of `plan` as written, and their meaning together with a configuration.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/common/dtype.h"
#include "kernels/common/stream.h"
#include "src/config/config.h"
#include "src/plan/device_specs.h"

namespace lora_dist {

inline constexpr int kMostRanks = 4096;  // the upper limit of a plan

/// As written; empty or 0: not given.
struct PlanOptions {
  std::string memory;  // of one GPU, or of a CPU rank
  int ranks = 0;
  std::string target;  // cpu | cuda
  std::string device;  // a name of devices()
  double efficiency = 0.45;
  double cpu_gflops = 0.0;  // reached by a CPU rank
  std::string link;         // a TOML file with the next five
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

/// The speed of transfers between ranks.
struct Link {
  double rate = 0.0;     // bytes per second and GPU, one way
  double latency = 0.0;  // seconds
};

struct Cluster {
  int gpus_per_node = 8;
  Link intra;               // between GPUs of a node; default: the device's
  Link inter{25e9, 15e-6};  // between nodes; 25 GB/s: a 200 Gbit/s adapter per GPU
  const Link& link_of(std::int64_t neighbours) const { return neighbours <= gpus_per_node ? intra : inter; }
};

/// The target of the plan.
struct PlanTarget {
  Backend backend = Backend::cpu;
  DType dtype = DType::f32;                               // compute dtype
  const DeviceSpec* device = nullptr;                     // null on CPUs
  double cpu_flops = 0.0;                                 // per second, reached by a CPU rank; 0: no time is predicted
  double efficiency = 0.45;                               // share of the device's FLOP/s that a step reaches
  std::int64_t memory_limit = 0;                          // bytes of a rank; 0: none
  std::int64_t program_bytes = std::int64_t{200} << 20U;  // of a process on CPUs, without its buffers (program_memory.h)
  bool program_is_measured = false;
  Cluster cluster;

  bool on_device() const { return device != nullptr; }
  bool is_timed() const { return on_device() || cpu_flops > 0.0; }
  /// FLOP/s that a step is assumed to reach.
  double flops() const {
    return !on_device() ? cpu_flops : (dtype == DType::f32 ? device->single_flops : device->half_flops) * efficiency;
  }
};

/// The target is a GPU if `options` or `config` name something that only GPUs have, else CPUs. Throws Error(usage, collective):
/// an unknown word or device, an invalid size, rate or time, a dtype that the target lacks, a bad --link file.
PlanTarget choose_target(const PlanOptions& options, const Config& config);

}  // namespace lora_dist

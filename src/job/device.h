// Where a rank's operators run, and in which type.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "kernels/common/device.h"
#include "kernels/common/dtype.h"
#include "src/comm/communicator.h"
#include "src/comm/process.h"
#include "src/core/choices.h"
#include "src/report/console.h"

namespace lora_dist {

/// What the configuration or the command line asks for; std::nullopt is their "auto".
struct DeviceChoice {
  std::optional<Backend> backend;      // auto: the GPU where every rank sees one
  std::optional<DType> compute_dtype;  // auto: fp32 on the CPU, bf16 on a GPU, fp16 on one without it
  std::optional<CommunicatorKind> communicator;
  std::optional<DType> checkpoint_dtype;  // that the checkpoint to go on from was trained in; decides where compute_dtype is auto
};

/// "fp32", "bf16" or "fp16".
std::string name_of_compute(DType dtype);

/// Outlives every buffer of the run: the arenas' memory belongs to its stream's device.
struct Device {
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device();

  Stream stream;
  DType dtype = DType::f32;
  std::optional<DeviceInfo> gpu;       // none on the CPU
  std::unique_ptr<Communicator> data;  // collectives over the operators' memory; null on the CPU, where the world's own serve

  bool on_device() const { return gpu.has_value(); }
  /// "bf16 on NVIDIA H200, NCCL" or "fp32 on the CPU, 2 threads".
  std::string description() const;
};

/// Collective. A GPU that "auto" cannot use, since the build has no code for it, gets a warning. Throws, the same on every rank:
/// Error(usage) for what this backend or build cannot do, Error(communication) for "cuda" without a usable device (none, a driver
/// older than the runtime, a chip that the build has no code for).
std::unique_ptr<Device> choose_device(const DeviceChoice& choice, const ProcessInfo& process, Communicator& world,
                                      const Console& console);

}  // namespace lora_dist

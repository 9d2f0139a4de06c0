// The backend and compute dtype of a rank's operators.
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

/// The settings of the configuration or the command line; std::nullopt is their "auto".
struct DeviceChoice {
  std::optional<Backend> backend;      // auto: the GPU if every rank has one
  std::optional<DType> compute_dtype;  // auto: fp32 on CPUs, bf16 on a GPU, fp16 on a GPU without bf16
  std::optional<CommunicatorKind> communicator;
  std::optional<DType> checkpoint_dtype;  // of the checkpoint to resume from; decides if compute_dtype is auto
};

/// "fp32", "bf16" or "fp16".
std::string name_of_compute(DType dtype);

/// Must outlive every buffer of the run: the arenas' memory belongs to its stream's device.
struct Device {
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device();

  Stream stream;
  DType dtype = DType::f32;
  std::optional<DeviceInfo> gpu;       // empty on the CPU
  std::unique_ptr<Communicator> data;  // collectives over the operators' memory; null on the CPU (world communicator)

  bool on_device() const { return gpu.has_value(); }
  /// "bf16 on NVIDIA H200, NCCL" or "fp32 on the CPU, 2 threads".
  std::string description() const;
};

/// Collective. Warns of a GPU that "auto" cannot use because the build has no code for it. Throws, the same on every rank:
/// Error(usage) for what this backend or build does not support, Error(communication) for "cuda" without a usable device (none, a
/// driver older than the runtime, a chip that the build has no code for).
std::unique_ptr<Device> choose_device(const DeviceChoice& choice, const ProcessInfo& process, Communicator& world,
                                      const Console& console);

}  // namespace lora_dist

// Checks the GPU that a rank would use: driver, run time, chip code, memory.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/common/device.h"
#include "src/comm/process.h"
#include "src/core/choices.h"
#include "src/doctor/finding.h"

namespace lora_dist {

struct DeviceFacts {
  std::optional<Backend> backend;  // parallel.backend
  std::string cuda = "none";       // cuda_version()
  bool hardware = false;           // an NVIDIA device is present
  int count = 0;                   // visible devices of this rank
  int ranks = 1;                   // of this machine
  std::string problem;             // why there is no device, or why it fails
  std::optional<DeviceInfo> info;
};

/// Opens the device and runs an empty kernel, unless `backend` is cpu.
DeviceFacts look_at_device(const ProcessInfo& process, std::optional<Backend> backend);

std::vector<Finding> judge_device(const DeviceFacts& facts);

}  // namespace lora_dist

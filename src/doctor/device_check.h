// The GPU that a rank would take: driver, run time, chip code, memory.
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
  bool hardware = false;           // the system has an NVIDIA device
  int count = 0;                   // devices that this rank may use
  int ranks = 1;                   // of this machine
  std::string problem;             // why there is none, or why it does not work
  std::optional<DeviceInfo> info;
};

/// Takes the device and runs an empty kernel on it, unless `backend` is cpu.
DeviceFacts look_at_device(const ProcessInfo& process, std::optional<Backend> backend);

std::vector<Finding> judge_device(const DeviceFacts& facts);

}  // namespace lora_dist

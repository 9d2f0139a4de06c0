// The table of GPUs.
#include "src/plan/device_specs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <vector>

#include "src/core/error.h"

namespace lora_dist {

namespace {

constexpr double kPcie4 = 25e9;

constexpr std::array<DeviceSpec, 11> kDevices = {{
    {"v100", "NVIDIA V100 32 GB", 125e12, 15.7e12, 0.9e12, 31.7, 150e9, false},
    {"v100-16gb", "NVIDIA V100 16 GB", 125e12, 15.7e12, 0.9e12, 15.8, 150e9, false},
    {"a100", "NVIDIA A100 80 GB", 312e12, 19.5e12, 2.04e12, 79.2, 300e9},
    {"a100-40gb", "NVIDIA A100 40 GB", 312e12, 19.5e12, 1.56e12, 39.4, 300e9},
    {"h100", "NVIDIA H100 SXM", 989e12, 67e12, 3.35e12, 79.1, 450e9, true, 64},
    {"h200", "NVIDIA H200", 989e12, 67e12, 4.8e12, 139.8, 450e9, true, 64},
    {"rtx3090", "NVIDIA RTX 3090", 71e12, 35.6e12, 0.936e12, 23.6, kPcie4},
    {"rtx4090", "NVIDIA RTX 4090", 165e12, 82.6e12, 1.008e12, 23.6, kPcie4},
    {"l40", "NVIDIA L40", 181e12, 90.5e12, 0.864e12, 44.4, kPcie4},
    {"l40s", "NVIDIA L40S", 362e12, 91.6e12, 0.864e12, 44.4, kPcie4},
    {"t4", "NVIDIA T4", 65e12, 8.1e12, 0.32e12, 14.6, 12e9, false},
}};

}  // namespace

std::span<const DeviceSpec> devices() { return kDevices; }

const DeviceSpec& find_device(const std::string& name) {
  const auto* const found =
      std::find_if(kDevices.begin(), kDevices.end(), [&](const DeviceSpec& each) { return each.name == name; });
  if (found == kDevices.end()) {
    std::vector<std::string_view> names;
    std::transform(kDevices.begin(), kDevices.end(), std::back_inserter(names), [](const DeviceSpec& each) { return each.name; });
    throw Error(ExitCode::usage,
                fmt::format("--device {}: known are {}; with the nearest of them, --memory and --link-intra say what differs",
                            name, fmt::join(names, ", ")),
                ErrorScope::collective);
  }
  return *found;
}

}  // namespace lora_dist

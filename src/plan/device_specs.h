// GPUs by name, with the figures of the time model.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lora_dist {

/// From NVIDIA's data sheets, without sparsity.
struct DeviceSpec {
  std::string_view name;   // the value of --device
  std::string_view title;  // the common name
  double half_flops;       // per second, products of bf16 or fp16 with f32 sums
  double single_flops;     // per second, products of f32
  double memory_rate;      // bytes per second
  double memory_gib;       // visible to a process: for some GPUs less than advertised
  double link_rate;        // bytes per second, one way, to the other GPUs of its node: NVLink if it has it, else PCI Express
  bool has_bf16 = true;    // false: "auto" computes in fp16
  std::int64_t product_mib = 32;  // cuBLASLt's workspace (kernels/matmul)

  std::int64_t memory_bytes() const { return static_cast<std::int64_t>(memory_gib * 0x1p30); }
};

std::span<const DeviceSpec> devices();

/// Throws Error(usage, collective) listing the known devices.
const DeviceSpec& find_device(const std::string& name);

}  // namespace lora_dist

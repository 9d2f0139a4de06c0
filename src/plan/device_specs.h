// GPUs by name, with what the time model needs to know of them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace lora_dist {

/// From NVIDIA's data sheets; sparsity left out.
struct DeviceSpec {
  std::string_view name;   // as --device has it
  std::string_view title;  // as people have it
  double half_flops;       // a second, products of bf16 or fp16 with f32 sums
  double single_flops;     // a second, products of f32
  double memory_rate;      // bytes a second
  double memory_gib;       // that a process sees: some less than what is sold
  double link_rate;        // bytes a second, one way, to the other GPUs of its node: NVLink, or PCI Express where it has none
  bool has_bf16 = true;    // else "auto" computes in fp16
  std::int64_t product_mib = 32;  // cuBLASLt's workspace (kernels/matmul)

  std::int64_t memory_bytes() const { return static_cast<std::int64_t>(memory_gib * 0x1p30); }
};

std::span<const DeviceSpec> devices();

/// Throws Error(usage, collective) listing the known ones.
const DeviceSpec& find_device(const std::string& name);

}  // namespace lora_dist

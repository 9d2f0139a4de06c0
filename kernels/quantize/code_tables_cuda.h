// The tables of NF4, FP4 and double quantization as arguments of kernels. Only for .cu files.
#pragma once

#include <array>
#include <cstddef>

namespace lora_dist {

template <std::size_t kCount>
struct KernelTable {
  float v[kCount];
};
/// 16 values by code, or rising.
using FourBitTable = KernelTable<16>;
/// The 256 values of dynamic_map().
using DynamicMap = KernelTable<256>;

template <std::size_t kCount>
KernelTable<kCount> table_of(const std::array<float, kCount>& values) {
  KernelTable<kCount> table = {};
  for (std::size_t i = 0; i < kCount; ++i) {
    table.v[i] = values[i];
  }
  return table;
}

}  // namespace lora_dist

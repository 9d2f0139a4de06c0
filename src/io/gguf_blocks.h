// The element types of GGUF files: how many values a block has, how many bytes, and what it means (contract: ggml, as gguf-py
// 0.19.0 reads it).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "kernels/common/dtype.h"

namespace lora_dist {

struct GgmlType {
  std::uint32_t number = 0;  // in files
  std::string_view name;     // "Q4_K"
  std::int64_t values = 1;   // of a block
  std::int64_t bytes = 0;    // of a block; 0: a type that is known by name alone
  DType dtype = DType::f32;  // of the values as they are given out
  /// Decodes whole blocks; null: the values lie in the file as `dtype`.
  void (*decode)(std::span<const std::byte> blocks, std::span<float> values) = nullptr;
};

/// Null: no such number.
const GgmlType* find_ggml_type(std::uint32_t number);
/// "F32, F16, ...": those that can be read.
std::string readable_ggml_types();

}  // namespace lora_dist

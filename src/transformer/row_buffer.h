// A buffer of rows, one per token; a micro-batch uses the first rows.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/tensor_view.h"

namespace lora_dist {

struct RowBuffer {
  void* data = nullptr;
  std::int64_t width = 0;
  DType dtype = DType::f32;

  TensorView rows(std::int64_t tokens) const { return {data, dtype, {tokens, width}}; }
  TensorView column(std::int64_t tokens) const { return {data, dtype, {tokens}}; }  // of a buffer of width 1
  TensorView rows_from(std::int64_t first, std::int64_t tokens) const {
    return {static_cast<std::byte*>(data) + static_cast<std::size_t>(first * width) * size_of(dtype), dtype, {tokens, width}};
  }
  TensorView column_from(std::int64_t first, std::int64_t tokens) const {
    const TensorView part = rows_from(first, tokens);
    return {part.data, dtype, {tokens}};
  }
};

}  // namespace lora_dist

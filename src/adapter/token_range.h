// A range of a micro-batch's tokens: rows of its tensors.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/common/tensor_view.h"

namespace lora_dist {

struct TokenRange {
  std::int64_t first = 0;
  std::int64_t count = 0;
};

/// The rows of the range. x: [tokens, width].
inline TensorView rows_of(const TensorView& x, const TokenRange& tokens) {
  const auto bytes = static_cast<std::size_t>(tokens.first * x.cols()) * size_of(x.dtype);
  return {static_cast<std::byte*>(x.data) + bytes, x.dtype, {tokens.count, x.cols()}};
}
inline ConstTensorView rows_of(const ConstTensorView& x, const TokenRange& tokens) {
  const auto bytes = static_cast<std::size_t>(tokens.first * x.cols()) * size_of(x.dtype);
  return {static_cast<const std::byte*>(x.data) + bytes, x.dtype, {tokens.count, x.cols()}};
}

}  // namespace lora_dist

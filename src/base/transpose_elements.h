// Transposes a matrix of elements of any type on the host.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

namespace lora_dist {

/// [rows, cols] to [cols, rows], elements of `kWidth` bytes.
template <std::size_t kWidth>
void transpose_elements(std::span<const std::byte> from, std::size_t rows, std::size_t cols, std::span<std::byte> to) {
  for (std::size_t c = 0; c < cols; ++c) {
    for (std::size_t r = 0; r < rows; ++r) {
      std::memcpy(&to[(c * rows + r) * kWidth], &from[(r * cols + c) * kWidth], kWidth);
    }
  }
}

}  // namespace lora_dist

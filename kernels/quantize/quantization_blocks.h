// Which blocks of a weight that was quantized whole a part of it touches: the part's cuts may go through blocks, so it keeps the
// scale of each.
#pragma once

#include <cstdint>

#include "kernels/common/strided_slice.h"

namespace lora_dist {

/// Scales that each row of a part keeps: those of the blocks that it touches. Where rows start at different places of a block,
/// room for the most that any could touch.
constexpr std::int64_t scales_per_row(const StridedSlice& slice, std::int64_t block_size) {
  if (slice.width == 0) {
    return 0;
  }
  const bool alike = slice.rows <= 1 || slice.stride % block_size == 0;
  const std::int64_t phase = alike ? slice.start % block_size : block_size - 1;
  return (phase + slice.width + block_size - 1) / block_size;
}
/// The block of the whole weight whose scale is number `scale` of the part.
constexpr std::int64_t block_of_scale(const StridedSlice& slice, std::int64_t block_size, std::int64_t scale) {
  const std::int64_t per_row = scales_per_row(slice, block_size);
  return slice.first(scale / per_row) / block_size + scale % per_row;
}
/// Whether the part looks like a weight of its own: each block lies in it whole, but perhaps the last.
constexpr bool is_cut_between_blocks(const StridedSlice& slice, std::int64_t block_size) {
  return slice.start % block_size == 0 && (slice.rows <= 1 || (slice.stride % block_size == 0 && slice.width % block_size == 0));
}

}  // namespace lora_dist

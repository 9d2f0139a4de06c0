// The quantization blocks of a whole weight that a part of it overlaps. A part may begin or end inside a block, and keeps the
// scales of all blocks that it overlaps.
#pragma once

#include <cstdint>

#include "kernels/common/strided_slice.h"

namespace lora_dist {

/// The number of scales that each row of a part keeps: one per overlapped block, at the most unfavourable alignment.
constexpr std::int64_t scales_per_row(const StridedSlice& slice, std::int64_t block_size) {
  if (slice.width == 0) {
    return 0;
  }
  const bool lead_alike =
      slice.lead == 0 || (slice.width % block_size == 0 && (slice.start - slice.lead_start) % block_size == 0);
  const bool alike = lead_alike && (slice.rows <= 1 || slice.stride % block_size == 0);
  const std::int64_t phase = alike ? slice.start % block_size : block_size - 1;
  return (phase + slice.width + block_size - 1) / block_size;
}
/// The block of the whole weight that scale number `scale` of the part belongs to.
constexpr std::int64_t block_of_scale(const StridedSlice& slice, std::int64_t block_size, std::int64_t scale) {
  const std::int64_t per_row = scales_per_row(slice, block_size);
  return slice.first(scale / per_row) / block_size + scale % per_row;
}
/// True if the part contains only whole blocks, except perhaps the last.
constexpr bool is_cut_between_blocks(const StridedSlice& slice, std::int64_t block_size) {
  const bool lead = slice.lead == 0 || (slice.lead_start % block_size == 0 && slice.width % block_size == 0);
  return lead && slice.start % block_size == 0 &&
         (slice.rows <= 1 || (slice.stride % block_size == 0 && slice.width % block_size == 0));
}

}  // namespace lora_dist

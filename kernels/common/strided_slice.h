// A TP shard's part of a matrix as a strided slice of the whole.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/common/device_code.h"

namespace lora_dist {

/// `rows` rows of `width` elements, one every `stride` of the whole, from `start` on. The part holds them end to end. The first
/// `lead` of the rows lie elsewhere, one after the other from `lead_start` on: the queries before the keys and values of a fused
/// projection, of which a rank keeps several rows as wide as its keys.
struct StridedSlice {
  std::int64_t rows = 1;
  std::int64_t width = 0;
  std::int64_t start = 0;
  std::int64_t stride = 0;
  std::int64_t lead = 0;
  std::int64_t lead_start = 0;

  std::int64_t elements() const { return rows * width; }
  /// The first element of row `row` in the whole.
  LORA_DIST_DEVICE constexpr std::int64_t first(std::int64_t row) const {
    return row < lead ? lead_start + row * width : start + (row - lead) * stride;
  }
  /// Past its last element in the whole.
  std::int64_t end() const { return rows == 0 ? start : first(rows - 1) + width; }

  bool operator==(const StridedSlice&) const = default;
};

/// Elements that are contiguous in both the part and the whole.
struct SliceSegment {
  std::int64_t row = 0;  // that they belong to
  std::int64_t in_part = 0;
  std::int64_t in_whole = 0;
  std::int64_t count = 0;
};

/// The segment from element `begin` of the part to the end of its row, at most to `end`.
constexpr SliceSegment segment_at(const StridedSlice& slice, std::int64_t begin, std::int64_t end) {
  const std::int64_t row = begin / slice.width;
  const std::int64_t in_row = begin % slice.width;
  return {row, begin, slice.first(row) + in_row, std::min(slice.width - in_row, end - begin)};
}

}  // namespace lora_dist

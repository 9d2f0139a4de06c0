// The layout of one block's weights in a flat buffer, and each rank's slice of its bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/common/dtype.h"
#include "kernels/common/strided_slice.h"
#include "src/base/base_format.h"
#include "src/base/index_range.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

/// Rounded up.
constexpr std::int64_t divide_up(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

/// A weight in a base.
struct WeightKind {
  LinearShape shape;         // of the TP shard; out 0: the model lacks this linear
  LinearShape whole;         // before TP sharding
  StridedSlice in_whole;     // the shard within the whole [out, in]
  DType dtype = DType::f32;  // of the file
  BaseFormat format;
};

/// The byte offsets of one weight's sections in its block. Offsets are multiples of 64; absent sections have 0 bytes. A TP shard
/// of a weight has its own codes, and the scales of all quantization blocks of the whole weight that it overlaps.
struct WeightLayout {
  BaseFormat format;
  DType dtype = DType::f32;  // of the file; the type of `codes` if not quantized
  std::int64_t rows = 0;     // of the TP shard
  std::int64_t cols = 0;
  StridedSlice in_whole;  // the shard within the whole
  std::int64_t whole_elements = 0;
  std::int64_t whole_cols = 0;
  std::int64_t codes_offset = 0;  // four bits: two codes a byte; int8: one; none: the file's own elements
  std::int64_t codes_bytes = 0;
  std::int64_t absmax_offset = 0;  // f32 a block (int8: a row), or u8 a block with double quantization
  std::int64_t absmax_bytes = 0;
  std::int64_t nested_offset = 0;  // f32 for each 256 absmax values of the whole
  std::int64_t nested_bytes = 0;

  /// Scales of the shard.
  std::int64_t scales() const { return format.nested() ? absmax_bytes : absmax_bytes / 4; }
  /// Elements per scale.
  std::int64_t scale_elements() const { return format.scale_elements(whole_cols); }
  /// Scales of the whole weight.
  std::int64_t whole_scales() const { return divide_up(whole_elements, scale_elements()); }
  bool is_whole() const { return rows * cols == whole_elements; }
};

/// One block's weights in a flat buffer (an absent linear takes no bytes), divided into `slices` equal slices of bytes, one per
/// data rank (the last one padded).
struct BlockLayout {
  std::array<WeightLayout, kLinears> weights;
  std::int64_t bytes = 0;        // of the block, before padding
  std::int64_t slice_bytes = 0;  // of each slice, a multiple of 64
};

/// Bytes per slice for that many equal slices, the last one padded: a multiple of 64.
std::int64_t slice_bytes_of(std::int64_t bytes, int slices);

BlockLayout make_block_layout(const std::array<WeightKind, kLinears>& kinds, int slices);

/// The bytes of the block that data rank `rank` holds.
IndexRange slice_of(const BlockLayout& layout, int rank);
/// The bytes of a section (`bytes` from `offset`) that `rank` holds, relative to the section.
IndexRange held_of(const BlockLayout& layout, std::int64_t offset, std::int64_t bytes, int rank);
/// The code bytes of a weight.
IndexRange codes_of(const BlockLayout& layout, const WeightLayout& weight, int rank);
/// The elements of a weight's TP shard whose codes rank `rank` holds.
IndexRange elements_of(const BlockLayout& layout, const WeightLayout& weight, int rank);
/// Copies to `kept` the bytes of `source` (a section at byte `offset` of the block) that are in `slice`.
void keep_section(std::span<const std::byte> source, std::int64_t offset, IndexRange slice, std::span<std::byte> kept);

}  // namespace lora_dist

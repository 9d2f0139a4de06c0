// How one block's weights lie end to end, and which bytes of them each rank holds.
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

/// A weight as a base keeps it.
struct WeightKind {
  LinearShape shape;         // of the rank's part; out 0: the model does not have it
  LinearShape whole;         // before the TP ranks cut it
  StridedSlice in_whole;     // where the part lies in the whole [out, in]
  DType dtype = DType::f32;  // of the file
  BaseFormat format;
};

/// Where the sections of one weight lie in the bytes of its block. Offsets are multiples of 64; absent sections have 0 bytes. A
/// weight that TP ranks cut keeps its own codes, and the scales of all blocks of the whole that it touches.
struct WeightLayout {
  BaseFormat format;
  DType dtype = DType::f32;  // of the file; what `codes` holds when not quantized
  std::int64_t rows = 0;     // of the part
  std::int64_t cols = 0;
  StridedSlice in_whole;  // where the part lies in the whole
  std::int64_t whole_elements = 0;
  std::int64_t whole_cols = 0;
  std::int64_t codes_offset = 0;  // four bits: two codes a byte; int8: one; none: the file's own elements
  std::int64_t codes_bytes = 0;
  std::int64_t absmax_offset = 0;  // f32 a block (int8: a row), or u8 a block with double quantization
  std::int64_t absmax_bytes = 0;
  std::int64_t nested_offset = 0;  // f32 for each 256 absmax values of the whole
  std::int64_t nested_bytes = 0;

  /// How many scales it has.
  std::int64_t scales() const { return format.nested() ? absmax_bytes : absmax_bytes / 4; }
  /// Elements that share one.
  std::int64_t scale_elements() const { return format.scale_elements(whole_cols); }
  /// Scales of the whole weight.
  std::int64_t whole_scales() const { return divide_up(whole_elements, scale_elements()); }
  bool is_whole() const { return rows * cols == whole_elements; }
};

/// One block's weights laid end to end (a linear that the model does not have takes no bytes), cut into `slices` equal slices of
/// bytes, one per data rank (the last one padded).
struct BlockLayout {
  std::array<WeightLayout, kLinears> weights;
  std::int64_t bytes = 0;        // of the whole, before padding
  std::int64_t slice_bytes = 0;  // of each slice, a multiple of 64
};

/// Bytes of each of so many equal slices, the last one padded: a multiple of 64.
std::int64_t slice_bytes_of(std::int64_t bytes, int slices);

BlockLayout make_block_layout(const std::array<WeightKind, kLinears>& kinds, int slices);

/// The bytes of a block's layout that data rank `rank` holds.
IndexRange slice_of(const BlockLayout& layout, int rank);
/// Those of a section of `bytes` from `offset` on, counted from the section's first.
IndexRange held_of(const BlockLayout& layout, std::int64_t offset, std::int64_t bytes, int rank);
/// The code bytes of a weight.
IndexRange codes_of(const BlockLayout& layout, const WeightLayout& weight, int rank);
/// The elements of a weight's part whose codes rank `rank` holds.
IndexRange elements_of(const BlockLayout& layout, const WeightLayout& weight, int rank);
/// Copies to `kept` those bytes of `source` (a section of the block that begins at byte `offset`) which lie in `slice` of the
/// block.
void keep_section(std::span<const std::byte> source, std::int64_t offset, IndexRange slice, std::span<std::byte> kept);

}  // namespace lora_dist

// How one block's weights lie end to end, and which bytes of them each rank holds.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/common/dtype.h"
#include "src/model/base_format.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

/// Rounded up.
constexpr std::int64_t divide_up(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

/// A half-open range of bytes or of quantization blocks.
struct BlockRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end > begin ? end - begin : 0; }
};
BlockRange overlap(BlockRange a, BlockRange b);

/// A weight as a base keeps it.
struct WeightKind {
  LinearShape shape;         // out 0: the model does not have it
  DType dtype = DType::f32;  // of the file
  BaseFormat format;
};

/// Where the parts of one weight lie in the bytes of its block. Offsets are multiples of 64; absent parts have 0 bytes.
struct WeightLayout {
  BaseFormat format;
  DType dtype = DType::f32;  // of the file; what `codes` holds when not quantized
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t codes_offset = 0;  // four bits: two codes a byte; int8: one; none: the file's own elements
  std::int64_t codes_bytes = 0;
  std::int64_t absmax_offset = 0;  // f32 a block (int8: a row), or u8 a block with double quantization
  std::int64_t absmax_bytes = 0;
  std::int64_t nested_offset = 0;  // f32 for each 256 absmax values
  std::int64_t nested_bytes = 0;

  /// How many scales it has.
  std::int64_t scales() const { return format.nested() ? absmax_bytes : absmax_bytes / 4; }
};

/// One block's weights laid end to end (a linear that the model does not have takes no bytes), cut into `parts` equal parts (the
/// last one padded).
struct BlockLayout {
  std::array<WeightLayout, kLinears> weights;
  std::int64_t bytes = 0;       // of the whole, before padding
  std::int64_t part_bytes = 0;  // of each part, a multiple of 64
};

BlockLayout make_block_layout(const std::array<WeightKind, kLinears>& kinds, int parts);

/// The bytes of a block's layout that part `rank` holds.
BlockRange part_of(const BlockLayout& layout, int rank);
/// Those of a section of `bytes` from `offset` on, counted from the section's first.
BlockRange held_of(const BlockLayout& layout, std::int64_t offset, std::int64_t bytes, int rank);
/// The code bytes of a weight.
BlockRange codes_of(const BlockLayout& layout, const WeightLayout& weight, int rank);
/// The quantization blocks whose absmax rank `rank` computes for everybody: those whose first code byte it holds.
BlockRange owned_blocks(const BlockLayout& layout, const WeightLayout& weight, int rank);
/// Copies to `kept` that part of `source` (a section of the block that begins at byte `offset`) which part `part` of the block
/// holds.
void keep_section(std::span<const std::byte> source, std::int64_t offset, BlockRange part, std::span<std::byte> kept);

}  // namespace lora_dist

// Reads the part of one weight that a rank keeps, from a file's float elements or from its codes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/common/stream.h"
#include "src/base/block_layout.h"
#include "src/base/prequantized.h"
#include "src/base/weight_source.h"

namespace lora_dist {

/// The codes of a weight's TP shard that a rank keeps.
struct KeptCodes {
  IndexRange elements;         // of the TP shard; the first is at the start of a byte
  std::span<std::byte> bytes;  // destination of their codes
};

/// Reads and quantizes the blocks that contain the elements, and keeps the codes. absmax: [scales of the whole weight]; writes
/// the entries of these blocks.
void quantize_kept(const WeightSource& source, const WeightLayout& weight, const KeptCodes& kept, std::span<float> absmax,
                   const Stream& stream);
/// Reads the elements in the file's dtype, or as f32 if that is the weight's.
void read_kept(const WeightSource& source, const WeightLayout& weight, const KeptCodes& kept, const Stream& stream);
/// Reads the file's codes.
void read_kept_codes(const TensorInfo& codes, const WeightLayout& weight, const KeptCodes& kept);

/// Selects a TP shard's scales from those of the whole weight, `width` bytes each.
std::vector<std::byte> scales_of_part(std::span<const std::byte> whole, std::int64_t width, const WeightLayout& weight);

}  // namespace lora_dist

// Reading the part of one weight that a rank keeps: from the file's elements, or from codes that the file has already.
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

/// What a rank keeps of the codes of a weight's part.
struct KeptCodes {
  IndexRange elements;         // of the part; the first lies at the start of a byte
  std::span<std::byte> bytes;  // where their codes go
};

/// Reads and quantizes the blocks that the elements lie in, and keeps the codes. absmax: [scales of the whole weight]; those of
/// these blocks are written.
void quantize_kept(const WeightSource& source, const WeightLayout& weight, const KeptCodes& kept, std::span<float> absmax,
                   const Stream& stream);
/// The elements as the file has them.
void read_kept(const WeightSource& source, const WeightLayout& weight, const KeptCodes& kept);
/// The codes as the file has them.
void read_kept_codes(const TensorInfo& codes, const WeightLayout& weight, const KeptCodes& kept);

/// The scales that a weight's part keeps, of all scales of the whole, `width` bytes each.
std::vector<std::byte> scales_of_part(std::span<const std::byte> whole, std::int64_t width, const WeightLayout& weight);

}  // namespace lora_dist

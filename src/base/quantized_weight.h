// Quantizes weights (for loading) and dequantizes them (for merging).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/common/stream.h"
#include "src/base/base_format.h"

namespace lora_dist {

/// Quantizes whole blocks. values: f32, consecutive elements of a weight with rows of `cols`, from the start of a block on (int8:
/// of a row); codes: their bytes; absmax: one per block that begins there.
void quantize_blocks(std::span<const float> values, std::int64_t cols, const BaseFormat& format, std::span<std::byte> codes,
                     std::span<float> absmax, const Stream& stream);

/// A weight's scales in a base.
struct KeptScales {
  std::vector<std::byte> absmax;  // f32 each, or u8 with double quantization
  std::vector<float> nested;      // with double quantization: one per 256 absmax
  float offset = 0.0F;            // the mean of absmax, which it subtracts; summed in double and in order, the same on every mesh
};
KeptScales keep_scales(std::span<const float> absmax, const BaseFormat& format, const Stream& stream);

/// Replaces values (f32 [out * in], rows of `cols`) by dequantize(quantize(values)) in `format`: to the bit the weights that
/// training on such a base used on the CPU. No effect for Quantization::none.
void quantize_and_back(std::span<float> values, std::int64_t cols, const BaseFormat& format, const Stream& stream);

}  // namespace lora_dist

// A weight's codes and scales, made while loading and turned back while merging.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/common/stream.h"
#include "src/base/base_format.h"

namespace lora_dist {

/// Quantizes whole blocks. values: f32, consecutive elements of a weight with rows of `cols`, from the start of a block on (int8:
/// of a row); codes: their bytes; absmax: one for each block that begins there.
void quantize_blocks(std::span<const float> values, std::int64_t cols, const BaseFormat& format, std::span<std::byte> codes,
                     std::span<float> absmax, const Stream& stream);

/// A weight's scales as a base keeps them.
struct KeptScales {
  std::vector<std::byte> absmax;  // f32 each, or u8 with double quantization
  std::vector<float> nested;      // with double quantization, one for each 256 of them
  float offset = 0.0F;            // what it subtracts first: their mean, summed in double and in order, the same on every mesh
};
KeptScales keep_scales(std::span<const float> absmax, const BaseFormat& format, const Stream& stream);

/// values: f32 [out * in], rows of `cols`, in the order in which a weight is quantized; replaced by what a base held in `format`
/// stands for. The same values, to the bit, that training on that base used on the CPU. Nothing happens for Quantization::none.
void quantize_and_back(std::span<float> values, std::int64_t cols, const BaseFormat& format, const Stream& stream);

}  // namespace lora_dist

// The CPU side of nf4_part.h: stretches that share a scale, one after the other.
#include "kernels/nf4/nf4_part.h"

#include <algorithm>
#include <cstdint>

#include "kernels/common/parallel.h"
#include "kernels/nf4/nf4_dequantize.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kElementsPerPiece = 1 << 15;

float value_at(const float* table, const std::uint8_t* codes, std::int64_t i, float scale) {
  const std::uint8_t byte = codes[i / 2];
  return table[i % 2 == 0 ? byte >> 4 : byte & 15] * scale;
}

/// Elements [begin, end), which share a scale: those that lie in whole bytes at once.
void dequantize_stretch(const float* table, const std::uint8_t* codes, float scale, float* values, std::int64_t begin,
                        std::int64_t end, nf4::DequantizeBlock dequantize_block) {
  if (begin % 2 != 0 && begin < end) {
    values[begin] = value_at(table, codes, begin, scale);
    ++begin;
  }
  const std::int64_t even = (end - begin) / 2 * 2;
  if (even > 0) {
    dequantize_block(table, codes + begin / 2, scale, values + begin, even);
  }
  if (begin + even < end) {
    values[end - 1] = value_at(table, codes, end - 1, scale);
  }
}

}  // namespace

void nf4_dequantize_part_cpu(ConstTensorView codes, ConstTensorView absmax, std::int64_t block_size, const Runs& runs,
                             TensorView values, FourBit code, const Stream& stream) {
  check_nf4_part(codes, absmax, block_size, runs, values);
  const auto* from = codes.as<std::uint8_t>();
  const float* scales = absmax.as<float>();
  float* to = values.as<float>();
  const float* table = code_table(code).data();
  const std::int64_t per_run = scales_per_run(runs, block_size);
  const nf4::DequantizeBlock dequantize_block = nf4::best_dequantize_block();
  parallel_ranges(runs.elements(), kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end;) {
      const RunStretch stretch = stretch_at(runs, i, end);
      const std::int64_t n = std::min(stretch.count, block_size - stretch.in_whole % block_size);
      const float scale = scales[stretch.run * per_run + stretch.in_whole / block_size - runs.first(stretch.run) / block_size];
      dequantize_stretch(table, from, scale, to, i, i + n, dequantize_block);
      i += n;
    }
  });
}

void nested_dequantize_part_cpu(ConstTensorView codes, ConstTensorView nested_absmax, float offset, std::int64_t block_size,
                                const Runs& runs, TensorView absmax, const Stream& stream) {
  check_nested_part(codes, nested_absmax, block_size, runs, absmax);
  const auto* from = codes.as<std::uint8_t>();
  const float* scales = nested_absmax.as<float>();
  float* to = absmax.as<float>();
  const std::array<float, 256>& map = dynamic_map();
  parallel_ranges(absmax.count(), kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t nested = block_of_scale(runs, block_size, i) / kNestedBlock;
      const float scale = scales[std::min(nested, nested_absmax.count() - 1)];  // of a block past the end: never used
      // Rounded twice, as two operations: see nested_cpu.cpp.
      to[i] = static_cast<float>(static_cast<double>(map[from[i]]) * static_cast<double>(scale)) + offset;
    }
  });
}

}  // namespace lora_dist

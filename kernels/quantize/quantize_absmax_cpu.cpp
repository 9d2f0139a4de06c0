// The CPU side of double quantization: absmax values themselves become 8-bit codes of the dynamic map.
#include "kernels/quantize/quantize_absmax.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kBlocksPerPiece = 16;
constexpr std::int64_t kElementsPerPiece = 1 << 15;
constexpr int kGridTop = 65535;

// n evenly spaced floats from 0.1 to 1, each counted from its nearer end and rounded once, as torch.linspace does.
std::vector<float> boundaries(int n) {
  const float step = (1.0F - 0.1F) / static_cast<float>(n - 1);
  std::vector<float> points(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) {
    points[static_cast<std::size_t>(i)] =
        i < n / 2 ? std::fma(step, static_cast<float>(i), 0.1F) : std::fma(-step, static_cast<float>(n - 1 - i), 1.0F);
  }
  return points;
}

// Decades from 1e-6 to 1; decade e is cut into 2^e equal parts of [0.1, 1], and the values are their middles, with both signs.
std::array<float, 256> make_dynamic_map() {
  constexpr std::array<float, 7> kDecades = {1e-6F, 1e-5F, 1e-4F, 1e-3F, 1e-2F, 1e-1F, 1.0F};
  std::array<float, 256> map = {0.0F, 1.0F};
  std::size_t used = 2;
  for (std::size_t e = 0; e < kDecades.size(); ++e) {
    const std::vector<float> points = boundaries((1 << e) + 1);
    for (std::size_t i = 0; i + 1 < points.size(); ++i) {
      const float middle = kDecades[e] * ((points[i] + points[i + 1]) / 2.0F);
      map[used++] = middle;
      map[used++] = -middle;
    }
  }
  std::sort(map.begin(), map.end());
  return map;
}

// The code of each of 65,536 evenly spaced values in [-1, 1]: the number of midpoints of the map below it.
std::vector<std::uint8_t> make_grid() {
  const std::array<float, 256>& map = dynamic_map();
  std::vector<std::uint8_t> grid(kGridTop + 1);
  std::size_t code = 0;
  for (int i = 0; i <= kGridTop; ++i) {
    const float value = -1.0F + 2.0F * static_cast<float>(i) / static_cast<float>(kGridTop);
    while (code < 255 && (map[code] + map[code + 1]) / 2.0F < value) {
      ++code;
    }
    grid[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(code);
  }
  return grid;
}

// bitsandbytes' CPU library rounds a value to the grid before it looks up the code, and adds the half with one rounding
// (fused). The product is exact in double, so rounding the sum to float gives the same bits on every processor.
std::uint8_t code_of(float value, const std::vector<std::uint8_t>& grid) {
  if (!(value >= -1.0F)) {
    value = -1.0F;  // NaN too
  }
  const float unit = (std::min(value, 1.0F) + 1.0F) * 0.5F;
  const auto step_index = static_cast<float>(static_cast<double>(unit) * kGridTop + 0.5);
  return grid[static_cast<std::size_t>(step_index)];
}

float quantize_block(const float* absmax, float offset, std::int64_t n, const std::vector<std::uint8_t>& grid,
                     std::uint8_t* codes) {
  float top = 0.0F;
  for (std::int64_t i = 0; i < n; ++i) {
    const float magnitude = std::fabs(absmax[i] - offset);
    top = magnitude <= top || std::isnan(top) ? top : magnitude;  // NaN wins
  }
  if (top == 0.0F) {
    std::fill_n(codes, n, std::uint8_t{0});
    return top;
  }
  const float inverse = 1.0F / top;
  for (std::int64_t i = 0; i < n; ++i) {
    const float centred = absmax[i] - offset;
    codes[i] = code_of(centred * inverse, grid);
  }
  return top;
}

// Rounded twice, as two operations: through double, so that no compiler makes one fused operation of them.
float dequantized(float value, float scale, float offset) {
  return static_cast<float>(static_cast<double>(value) * static_cast<double>(scale)) + offset;
}

}  // namespace

const std::array<float, 256>& dynamic_map() {
  static const std::array<float, 256> map = make_dynamic_map();
  return map;
}

void quantize_absmax_cpu(ConstTensorView absmax, float offset, TensorView codes, TensorView nested_absmax, const Stream& stream) {
  check_absmax(absmax, codes, nested_absmax);
  static const std::vector<std::uint8_t> grid = make_grid();
  const float* from = absmax.as<float>();
  auto* to = codes.as<std::uint8_t>();
  float* scales = nested_absmax.as<float>();
  parallel_ranges(absmax.count(), kBlocksPerPiece * kNestedBlock, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i += kNestedBlock) {
      scales[i / kNestedBlock] = quantize_block(from + i, offset, std::min(kNestedBlock, end - i), grid, to + i);
    }
  });
}

void dequantize_absmax_cpu(ConstTensorView codes, ConstTensorView nested_absmax, float offset, TensorView absmax,
                           const Stream& stream) {
  check_absmax(absmax, codes, nested_absmax);
  const auto* from = codes.as<std::uint8_t>();
  const float* scales = nested_absmax.as<float>();
  float* to = absmax.as<float>();
  const std::array<float, 256>& map = dynamic_map();
  parallel_ranges(absmax.count(), kBlocksPerPiece * kNestedBlock, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      to[i] = dequantized(map[from[i]], scales[i / kNestedBlock], offset);
    }
  });
}

void dequantize_absmax_part_cpu(ConstTensorView codes, ConstTensorView nested_absmax, float offset, std::int64_t block_size,
                                const StridedSlice& slice, TensorView absmax, const Stream& stream) {
  check_absmax_part(codes, nested_absmax, block_size, slice, absmax);
  const auto* from = codes.as<std::uint8_t>();
  const float* scales = nested_absmax.as<float>();
  float* to = absmax.as<float>();
  const std::array<float, 256>& map = dynamic_map();
  parallel_ranges(absmax.count(), kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t nested = block_of_scale(slice, block_size, i) / kNestedBlock;
      const float scale = scales[std::min(nested, nested_absmax.count() - 1)];  // a block past the end is never used
      to[i] = dequantized(map[from[i]], scale, offset);
    }
  });
}

}  // namespace lora_dist

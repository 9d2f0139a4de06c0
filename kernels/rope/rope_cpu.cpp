// The CPU side of the rotary embedding.
#include "kernels/rope/rope.h"

#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kTokensPerPiece = 32;

// Rotates every head of one token; `sign` is -1 to rotate back.
LORA_DIST_MULTIVERSION void rotate_token(float* x, const float* cosine, const float* sine, float sign, std::int64_t heads,
                                         std::int64_t head_dim, std::int64_t half) {
  for (std::int64_t h = 0; h < heads; ++h) {
    float* low = x + h * head_dim;
    float* high = low + half;
#pragma omp simd
    for (std::int64_t i = 0; i < half; ++i) {
      const float a = low[i];
      const float b = high[i];
      const float s = sign * sine[i];
      low[i] = a * cosine[i] - b * s;
      high[i] = b * cosine[i] + a * s;
    }
  }
}

// The same for neighbours.
LORA_DIST_MULTIVERSION void rotate_neighbours(float* x, const float* cosine, const float* sine, float sign, std::int64_t heads,
                                              std::int64_t head_dim, std::int64_t half) {
  for (std::int64_t h = 0; h < heads; ++h) {
    float* head = x + h * head_dim;
#pragma omp simd
    for (std::int64_t i = 0; i < half; ++i) {
      const float a = head[2 * i];
      const float b = head[2 * i + 1];
      const float s = sign * sine[i];
      head[2 * i] = a * cosine[i] - b * s;
      head[2 * i + 1] = b * cosine[i] + a * s;
    }
  }
}

}  // namespace

void rope_cpu(TensorView x, ConstTensorView positions, ConstTensorView table, const RopeHeads& heads, RopeDirection direction,
              const Stream& stream) {
  require(x.shape.rank == 2 && table.shape.rank == 2,
          "rope: x must be [tokens, heads * head_dim] and table [positions, rotary_dim]");
  const std::int64_t tokens = x.rows();
  const std::int64_t width = x.cols();
  const std::int64_t rotary_dim = table.cols();
  const std::int64_t head_dim = heads.head_dim;
  require(rotary_dim > 0 && rotary_dim % 2 == 0 && rotary_dim <= head_dim,
          "rope: the table's width must be even and at most head_dim");
  require(width % head_dim == 0, "rope: the width of x must be a multiple of head_dim");
  require(positions.count() == tokens, "rope: positions must be [tokens]");
  const std::int32_t* position = positions.as<std::int32_t>();
  for (std::int64_t t = 0; t < tokens; ++t) {
    require(position[t] >= 0 && position[t] < table.rows(), "rope: a position lies outside the table");
  }
  float* data = x.as<float>();
  const float* angles = table.as<float>();
  const std::int64_t half = rotary_dim / 2;
  const float sign = direction == RopeDirection::forward ? 1.0F : -1.0F;
  parallel_ranges(tokens, kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const float* row = angles + position[t] * rotary_dim;
      if (heads.pairs == RopePairs::neighbours) {
        rotate_neighbours(data + t * width, row, row + half, sign, width / head_dim, head_dim, half);
      } else {
        rotate_token(data + t * width, row, row + half, sign, width / head_dim, head_dim, half);
      }
    }
  });
}

}  // namespace lora_dist

// The CUDA side of the rotary embedding: a block per token, a thread turns a group of neighbouring pairs.
#include <limits>

#include "kernels/common/cuda_group.h"
#include "kernels/rope/rope.h"

namespace lora_dist {
namespace {

constexpr int kMostThreads = 256;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// groups: of kCount pairs, over all heads of a token. half: rotary_dim / 2.
template <class T, int kCount>
__global__ void rope_token(T* x, const std::int32_t* positions, const float* table, std::int64_t table_rows, float sign,
                           std::int64_t width, int groups, int head_dim, int half) {
  T* row = x + blockIdx.x * width;
  const std::int64_t position = positions[blockIdx.x];
  const bool inside = position >= 0 && position < table_rows;
  const float* angles = table + (inside ? position : 0) * 2 * half;
  const int groups_of_head = half / kCount;
  for (int g = static_cast<int>(threadIdx.x); g < groups; g += static_cast<int>(blockDim.x)) {
    const int head = g / groups_of_head;
    const int pair = (g - head * groups_of_head) * kCount;
    T* low = row + static_cast<std::int64_t>(head) * head_dim + pair;
    Group<T, kCount> a = load_group<kCount>(low);
    Group<T, kCount> b = load_group<kCount>(low + half);
    Group<float, kCount> cosine;
    Group<float, kCount> sine;
    if (inside) {
      cosine = load_group<kCount>(angles + pair);
      sine = load_group<kCount>(angles + half + pair);
    } else {
      for (int i = 0; i < kCount; ++i) {
        cosine.v[i] = kNaN;
        sine.v[i] = kNaN;
      }
    }
    for (int i = 0; i < kCount; ++i) {
      const float from_low = to_float(a.v[i]);
      const float from_high = to_float(b.v[i]);
      const float s = sign * sine.v[i];
      a.v[i] = from_float<T>(from_low * cosine.v[i] - from_high * s);
      b.v[i] = from_float<T>(from_high * cosine.v[i] + from_low * s);
    }
    store_group(low, a);
    store_group(low + half, b);
  }
}

// A thread turns a pair of neighbours. pairs: over all heads of a token.
template <class T>
__global__ void rope_neighbours(T* x, const std::int32_t* positions, const float* table, std::int64_t table_rows, float sign,
                                std::int64_t width, int pairs, int head_dim, int half) {
  T* row = x + blockIdx.x * width;
  const std::int64_t position = positions[blockIdx.x];
  const bool inside = position >= 0 && position < table_rows;
  const float* angles = table + (inside ? position : 0) * 2 * half;
  for (int p = static_cast<int>(threadIdx.x); p < pairs; p += static_cast<int>(blockDim.x)) {
    const int head = p / half;
    const int pair = p - head * half;
    T* first = row + static_cast<std::int64_t>(head) * head_dim + 2 * pair;
    const float a = to_float(first[0]);
    const float b = to_float(first[1]);
    const float cosine = inside ? angles[pair] : kNaN;
    const float s = inside ? sign * angles[half + pair] : kNaN;
    first[0] = from_float<T>(a * cosine - b * s);
    first[1] = from_float<T>(b * cosine + a * s);
  }
}

template <class T, int kCount>
void rotate_tokens(TensorView x, const std::int32_t* positions, const float* table, const Shape& table_shape, float sign,
                   std::int64_t head_dim, const Stream& stream) {
  const std::int64_t half = table_shape[1] / 2;
  const std::int64_t groups = x.cols() / head_dim * half / kCount;
  launch("rope", rope_token<T, kCount>, blocks_for(x.rows(), 1), threads_for(groups, 1, kMostThreads), 0, stream, floats<T>(x),
         positions, table, table_shape[0], sign, x.cols(), static_cast<int>(groups), static_cast<int>(head_dim),
         static_cast<int>(half));
}

template <class T>
void rotate_neighbours(TensorView x, const std::int32_t* positions, const float* table, const Shape& table_shape, float sign,
                       std::int64_t head_dim, const Stream& stream) {
  const std::int64_t half = table_shape[1] / 2;
  const std::int64_t pairs = x.cols() / head_dim * half;
  launch("rope", rope_neighbours<T>, blocks_for(x.rows(), 1), threads_for(pairs, 1, kMostThreads), 0, stream, floats<T>(x),
         positions, table, table_shape[0], sign, x.cols(), static_cast<int>(pairs), static_cast<int>(head_dim),
         static_cast<int>(half));
}

}  // namespace

void rope_cuda(TensorView x, ConstTensorView positions, ConstTensorView table, const RopeHeads& heads, RopeDirection direction,
               const Stream& stream) {
  require(x.shape.rank == 2 && table.shape.rank == 2,
          "rope: x must be [tokens, heads * head_dim] and table [positions, rotary_dim]");
  const std::int64_t rotary_dim = table.cols();
  const std::int64_t head_dim = heads.head_dim;
  require(rotary_dim > 0 && rotary_dim % 2 == 0 && rotary_dim <= head_dim,
          "rope: the table's width must be even and at most head_dim");
  require(x.cols() % head_dim == 0, "rope: the width of x must be a multiple of head_dim");
  require(x.cols() <= std::numeric_limits<std::int32_t>::max(), "rope: x is too wide");
  require(positions.count() == x.rows(), "rope: positions must be [tokens]");
  const std::int32_t* position = positions.as<std::int32_t>();
  const float* angles = table.as<float>();
  const float sign = direction == RopeDirection::forward ? 1.0F : -1.0F;
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (heads.pairs == RopePairs::neighbours) {
      rotate_neighbours<T>(x, position, angles, table.shape, sign, head_dim, stream);
      return;
    }
    constexpr int kPack = Pack<T>::kCount;
    const bool packs = fits_groups(rotary_dim / 2, kPack, {x.data, angles}) && head_dim % kPack == 0;
    packs ? rotate_tokens<T, kPack>(x, position, angles, table.shape, sign, head_dim, stream)
          : rotate_tokens<T, 1>(x, position, angles, table.shape, sign, head_dim, stream);
  });
}

}  // namespace lora_dist

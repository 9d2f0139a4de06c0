// Shared by the CUDA kernels of attention: segments, tiles in shared memory, the two products of a tile. Only for .cu files.
//
// A block holds kRows x kCols scores: thread (down, across) = (threadIdx.x / 16, threadIdx.x % 16) has the 4 rows from 4 * down
// and every 16th column from `across`, and every 16th group of 4 in a row of kDim sums. Sixteen neighbouring lanes share a row.
#pragma once

#include <cmath>

#include "kernels/attention/attention.h"
#include "kernels/common/cuda_kernel.h"
#include "kernels/common/soft_cap.h"

namespace lora_dist::attention_device {

inline constexpr int kAcross = 16;
inline constexpr int kThreadRows = 4;
inline constexpr int kFour = 4;  // floats of 16 bytes

/// Sizes of a block. kDim: head_dim rounded up to one of the widths that kernels exist for.
template <int kWidth, int kTileRows, int kTileCols>
struct Block {
  static constexpr int kDim = kWidth;
  static constexpr int kRows = kTileRows;
  static constexpr int kCols = kTileCols;
  static constexpr int kThreads = kRows / kThreadRows * kAcross;
  static constexpr int kThreadCols = kCols / kAcross;
  static constexpr int kGroups = kDim / (kAcross * kFour);
  static constexpr int kStride = kDim + kFour;  // of rows in shared memory: neighbours' rows start in other banks
  static constexpr int kScoreStride = kCols + kFour;
};

/// Requirements of the kernels here on q, k and v, beyond attention.h.
inline void check_views(ConstTensorView q, ConstTensorView k, ConstTensorView v, const AttentionShape& shape) {
  constexpr int kMostDims = 256;
  require(shape.head_dim <= kMostDims, "attention: the CUDA kernels take heads of up to 256 dimensions");
  require(q.dtype == k.dtype && q.dtype == v.dtype, "attention: q, k and v must have one dtype");
}

inline void check_starts(ConstTensorView starts) {
  constexpr int kMostBlocks = 65535;
  require(starts.dtype == DType::i32 && starts.shape.rank == 1 && starts.count() >= 1,
          "attention: starts must be i32 [segments + 1]");
  require(starts.count() - 1 <= kMostBlocks, "attention: more than 65535 segments");
}

/// The number of queries of the longest segment; that of all queries if it is not known.
inline std::int64_t longest_segment(const AttentionShape& shape, std::int64_t queries) {
  return shape.longest > 0 && shape.longest < queries ? shape.longest : queries;
}

/// A scaled score, soft-capped if cap is above 0.
__device__ inline float capped_score(float score, float cap) { return cap > 0.0F ? cap * tanhf(score / cap) : score; }
/// The derivative of that, from the capped score.
__device__ inline float score_slope(float capped, float cap) { return cap > 0.0F ? soft_cap_slope(capped, cap) : 1.0F; }

__device__ inline int lesser(int a, int b) { return a < b ? a : b; }
__device__ inline int greater(int a, int b) { return a > b ? a : b; }

/// One segment: rows of q from `query`, rows of k and v from `key`.
struct Segment {
  std::int64_t query;
  std::int64_t key;
  int queries;
  int keys;
  bool sound;  // false: the offsets are invalid, and the segment's output is NaN

  /// The number of keys that query i of the segment attends to without a window; 0 for queries past its end.
  __device__ int visible(int i) const { return i < queries ? keys - queries + i + 1 : 0; }
  /// The first of those keys inside the window; 0 if window is 0.
  __device__ int first_visible(int i, int window) const { return window > 0 ? greater(visible(i) - window, 0) : 0; }
};

/// The block's segment, blockIdx.z. cu_seqlens are device memory, which the host cannot check. `covered`: the number of queries
/// that the grid has blocks for.
__device__ inline Segment block_segment(const std::int32_t* cu_seqlens_q, const std::int32_t* cu_seqlens_k,
                                        std::int64_t all_queries, std::int64_t all_keys, std::int64_t covered) {
  const std::int64_t query = cu_seqlens_q[blockIdx.z];
  const std::int64_t query_end = cu_seqlens_q[blockIdx.z + 1];
  const std::int64_t key = cu_seqlens_k[blockIdx.z];
  const std::int64_t key_end = cu_seqlens_k[blockIdx.z + 1];
  const std::int64_t first = query < 0 ? 0 : (query < all_queries ? query : all_queries);
  const std::int64_t end = query_end < first ? first : (query_end < all_queries ? query_end : all_queries);
  const bool sound = query == first && query_end == end && key >= 0 && key_end <= all_keys && key_end - key >= end - first &&
                     end - first <= covered;
  return {first, key, static_cast<int>(end - first), sound ? static_cast<int>(key_end - key) : 0, sound};
}

/// Makes the block's share of an unsound segment's rows NaN, in columns [column, column + width) of [.., stride].
template <class T>
__device__ void spoil(const Segment& segment, T* out, std::int64_t stride, std::int64_t column, int width) {
  const std::int64_t n = static_cast<std::int64_t>(segment.queries) * width;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    out[(segment.query + i / width) * stride + column + i % width] = from_float<T>(NAN);
  }
}

/// One head's part of a [rows, stride] matrix. `packs`: it can be read 16 bytes at a time.
template <class T>
struct Panel {
  const T* data;
  std::int64_t stride;
  int dim;
  bool packs;
};

/// tile [kTileRows][kStride] = rows [0, rows) of the panel from `first`, zeros beyond them and beyond dim. Every thread calls it.
template <class Shape, int kTileRows, class T>
__device__ void load_tile(const Panel<T>& from, std::int64_t first, int rows, float* tile) {
  constexpr int kCount = Pack<T>::kCount;
  constexpr int kPerRow = Shape::kDim / kCount;
  for (int i = static_cast<int>(threadIdx.x); i < kTileRows * kPerRow; i += Shape::kThreads) {
    const int row = i / kPerRow;
    const int d = i % kPerRow * kCount;
    const T* source = from.data + (first + row) * from.stride + d;
    float* target = tile + row * Shape::kStride + d;
    if (row < rows && d + kCount <= from.dim && from.packs) {
      const Pack<T> pack = load_pack(source);
#pragma unroll
      for (int j = 0; j < kCount; ++j) {
        target[j] = to_float(pack.v[j]);
      }
    } else {
#pragma unroll
      for (int j = 0; j < kCount; ++j) {
        target[j] = row < rows && d + j < from.dim ? to_float(source[j]) : 0.0F;
      }
    }
  }
}

/// scores[i][j] = the thread's rows of a times its columns' rows of b, over dim.
template <class Shape>
__device__ void multiply_rows(const float* a, const float* b, int dim, float (&scores)[kThreadRows][Shape::kThreadCols]) {
  const float* a_row = a + threadIdx.x / kAcross * kThreadRows * Shape::kStride;
  const float* b_row = b + threadIdx.x % kAcross * Shape::kStride;
#pragma unroll
  for (int i = 0; i < kThreadRows; ++i) {
#pragma unroll
    for (int j = 0; j < Shape::kThreadCols; ++j) {
      scores[i][j] = 0.0F;
    }
  }
#pragma unroll 2
  for (int d = 0; d < dim; d += kFour) {  // beyond dim the tiles hold zeros
    Pack<float> left[kThreadRows];
#pragma unroll
    for (int i = 0; i < kThreadRows; ++i) {
      left[i] = load_pack(a_row + i * Shape::kStride + d);
    }
#pragma unroll
    for (int j = 0; j < Shape::kThreadCols; ++j) {
      const Pack<float> right = load_pack(b_row + j * kAcross * Shape::kStride + d);
#pragma unroll
      for (int i = 0; i < kThreadRows; ++i) {
#pragma unroll
        for (int x = 0; x < kFour; ++x) {
          scores[i][j] = fmaf(left[i].v[x], right.v[x], scores[i][j]);
        }
      }
    }
  }
}

/// The thread's part of [kRows][kDim] sums.
template <class Shape>
struct Sums {
  Pack<float> v[kThreadRows][Shape::kGroups];

  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < kThreadRows; ++i) {
#pragma unroll
      for (int g = 0; g < Shape::kGroups; ++g) {
        v[i][g] = {};
      }
    }
  }

  __device__ void multiply_row(int i, float factor) {
#pragma unroll
    for (int g = 0; g < Shape::kGroups; ++g) {
#pragma unroll
      for (int x = 0; x < kFour; ++x) {
        v[i][g].v[x] *= factor;
      }
    }
  }

  /// += scores [kRows][kScoreStride] times the tile's first `cols` rows.
  __device__ void add_product(const float* scores, const float* tile, int cols) {
    const float* score_row = scores + threadIdx.x / kAcross * kThreadRows * Shape::kScoreStride;
    const float* column = tile + threadIdx.x % kAcross * kFour;
    for (int c = 0; c < cols; ++c) {
      float score[kThreadRows];
#pragma unroll
      for (int i = 0; i < kThreadRows; ++i) {
        score[i] = score_row[i * Shape::kScoreStride + c];
      }
#pragma unroll
      for (int g = 0; g < Shape::kGroups; ++g) {
        const Pack<float> right = load_pack(column + c * Shape::kStride + g * kAcross * kFour);
#pragma unroll
        for (int i = 0; i < kThreadRows; ++i) {
#pragma unroll
          for (int x = 0; x < kFour; ++x) {
            v[i][g].v[x] = fmaf(score[i], right.v[x], v[i][g].v[x]);
          }
        }
      }
    }
  }

  /// Writes the first `rows` rows of the block's tile, from row `first` of [.., stride] on.
  template <class T>
  __device__ void store(T* to, std::int64_t stride, std::int64_t first, int rows, int dim) const {
#pragma unroll
    for (int i = 0; i < kThreadRows; ++i) {
      const int row = static_cast<int>(threadIdx.x) / kAcross * kThreadRows + i;
#pragma unroll
      for (int g = 0; g < Shape::kGroups; ++g) {
#pragma unroll
        for (int x = 0; x < kFour; ++x) {
          const int d = (g * kAcross + static_cast<int>(threadIdx.x) % kAcross) * kFour + x;
          if (row < rows && d < dim) {
            to[(first + row) * stride + d] = from_float<T>(v[i][g].v[x]);
          }
        }
      }
    }
  }
};

/// Calls work with the one of three blocks, of 64, 128 and 256 dimensions, that is the narrowest to hold head_dim.
template <class Narrow, class Middle, class Wide, class Work>
void with_block(int head_dim, Work work) {
  static_assert(Narrow::kDim == 64 && Middle::kDim == 128 && Wide::kDim == 256);
  if (head_dim <= 64) {
    work(Narrow{});
  } else if (head_dim <= 128) {
    work(Middle{});
  } else {
    work(Wide{});
  }
}

/// True on chips before sm_80, where a block may have 64 KB; later ones give at least 99 KB.
inline bool has_little_shared(const Stream& stream) { return cuda_context(stream).capability < 80; }

/// A reduction over the sixteen threads that share rows, with the same bits on each.
__device__ inline float row_sum(float value) {
  for (int lanes = kAcross / 2; lanes > 0; lanes /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, lanes);
  }
  return value;
}
__device__ inline float row_max(float value) {
  for (int lanes = kAcross / 2; lanes > 0; lanes /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, lanes));
  }
  return value;
}

}  // namespace lora_dist::attention_device

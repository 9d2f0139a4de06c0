// Shared by forward and backward of attention on the CPU: tile sizes, segments, one product, one failure flag.
#pragma once

#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <cstdint>

#include "kernels/attention/attention.h"

namespace lora_dist::attention_tiles {

inline constexpr std::int64_t kTileRows = 128;                    // queries
inline constexpr std::int64_t kTileCols = 128;                    // keys
inline constexpr std::int64_t kTileSize = kTileRows * kTileCols;  // scores of one tile, on the stack of its thread

/// One segment: rows of q from `query`, rows of k and v from `key`.
struct Segment {
  std::int64_t query;
  std::int64_t queries;
  std::int64_t key;
  std::int64_t keys;

  /// The number of keys that query i of the segment attends to without a window.
  std::int64_t visible(std::int64_t i) const { return keys - queries + i + 1; }
  /// The first of those keys inside the window.
  std::int64_t first_visible(std::int64_t i, std::int64_t window) const {
    return window > 0 ? std::max<std::int64_t>(visible(i) - window, 0) : 0;
  }
};

/// Throws KernelError unless `starts` are rising offsets into `rows` rows.
inline void check_starts(ConstTensorView starts, std::int64_t rows) {
  const std::int32_t* start = starts.as<std::int32_t>();
  const std::int64_t n = starts.count();
  require(n >= 1 && start[0] >= 0 && start[n - 1] <= rows, "attention: starts must lie within the rows");
  for (std::int64_t s = 1; s < n; ++s) {
    require(start[s - 1] <= start[s], "attention: starts must rise");
  }
}

/// The same, and requires that every row belongs to a segment (outputs have no gaps). A key cache may have unused rows.
inline void check_starts_cover(ConstTensorView starts, std::int64_t rows) {
  check_starts(starts, rows);
  const std::int32_t* start = starts.as<std::int32_t>();
  require(start[0] == 0 && start[starts.count() - 1] == rows, "attention: starts must run from 0 to the number of rows");
}

inline Segment segment_of(const std::int32_t* cu_seqlens_q, const std::int32_t* cu_seqlens_k, std::int64_t s) {
  return {cu_seqlens_q[s], cu_seqlens_q[s + 1] - cu_seqlens_q[s], cu_seqlens_k[s], cu_seqlens_k[s + 1] - cu_seqlens_k[s]};
}

/// A part of a row-major matrix: its first element and the distance between its rows.
struct Panel {
  const float* data;
  std::int64_t stride;
};

/// c [m, n] = alpha * op(a) op(b) + beta * c; false when oneDNN refuses.
inline bool product(char op_a, char op_b, std::int64_t m, std::int64_t n, std::int64_t k, float alpha, Panel a, Panel b,
                    float beta, float* c, std::int64_t c_stride) {
  return dnnl_sgemm(op_a, op_b, m, n, k, alpha, a.data, a.stride, b.data, b.stride, beta, c, c_stride) == dnnl_success;
}

}  // namespace lora_dist::attention_tiles

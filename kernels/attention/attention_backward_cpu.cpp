// The CPU side of attention, backward: a task is a segment and a key head, and sums over that head's group of query heads, so
// that no two tasks write to the same address and the order of every sum is fixed.
#include <atomic>

#include "kernels/attention/attention_tiles.h"
#include "kernels/common/exp.h"
#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/common/soft_cap.h"

namespace lora_dist {
namespace {

using namespace attention_tiles;

struct Problem {
  const float* dout;
  const float* q;
  const float* k;
  const float* v;
  const float* out;
  const float* log_sum_exp;
  float* dq;
  float* dk;
  float* dv;
  AttentionShape shape;
  std::int64_t q_stride;
  std::int64_t kv_stride;
};

// One head's view of a tile of queries and a tile of keys, as offsets of first elements.
struct Tile {
  std::int64_t query_row;  // of the whole batch
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t q_offset;
  std::int64_t kv_offset;
  std::int64_t diagonal;  // row i of the tile sees its first i + diagonal keys
  std::int64_t window;    // a query attends to the last `window` of those; 0: all

  std::int64_t end(std::int64_t i) const { return std::clamp<std::int64_t>(i + diagonal, 0, cols); }
  std::int64_t begin(std::int64_t i) const { return window > 0 ? std::clamp<std::int64_t>(i + diagonal - window, 0, end(i)) : 0; }
};

LORA_DIST_MULTIVERSION float dot(const float* a, const float* b, std::int64_t n) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) {
    sum += a[i] * b[i];
  }
  return sum;
}

LORA_DIST_MULTIVERSION void probabilities_row(float* scores, float log_sum_exp, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    scores[i] = fast_exp(scores[i] - log_sum_exp);
  }
}

// dS = P (dP - delta) scale, written over dP.
LORA_DIST_MULTIVERSION void score_gradient_row(const float* p, float* dp, float delta, float scale, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    dp[i] = p[i] * (dp[i] - delta) * scale;
  }
}

// probabilities_row over soft-capped scores; the gradient dP of the probabilities is turned into that of the scores before the
// cap.
LORA_DIST_MULTIVERSION void capped_rows(float* scores, float* dp, float log_sum_exp, float delta, const AttentionShape& shape,
                                        std::int64_t n) {
  const float cap = shape.soft_cap;
  const float scale = shape.scale;
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float capped = soft_capped(scores[i], cap);
    const float p = fast_exp(capped - log_sum_exp);
    dp[i] = p * (dp[i] - delta) * soft_cap_slope(capped, cap) * scale;
    scores[i] = p;
  }
}

// 0 outside [begin, end) of a row: set rather than multiplied, so that what lies there does not matter.
void clear_outside(float* row, std::int64_t begin, std::int64_t end, std::int64_t n) {
  std::fill(row, row + begin, 0.0F);
  std::fill(row + end, row + n, 0.0F);
}

bool run_tile(const Problem& p, const Tile& tile, std::int64_t head, bool first_for_keys, bool first_for_queries) {
  alignas(64) float prob[kTileSize];
  alignas(64) float grad[kTileSize];
  const std::int64_t dim = p.shape.head_dim;
  const std::int64_t rows = tile.rows;
  const std::int64_t cols = tile.cols;
  const Panel q = {p.q + tile.q_offset, p.q_stride};
  const Panel dout = {p.dout + tile.q_offset, p.q_stride};
  const Panel k = {p.k + tile.kv_offset, p.kv_stride};
  const Panel v = {p.v + tile.kv_offset, p.kv_stride};
  const float keys_beta = first_for_keys ? 0.0F : 1.0F;
  bool ok = product('N', 'T', rows, cols, dim, p.shape.scale, q, k, 0.0F, prob, cols);
  ok &= product('N', 'T', rows, cols, dim, 1.0F, dout, v, 0.0F, grad, cols);
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int64_t begin = tile.begin(i);
    const std::int64_t seen = tile.end(i) - begin;
    float* prob_row = prob + i * cols;
    float* grad_row = grad + i * cols;
    const float* dout_row = dout.data + i * p.q_stride;
    const float delta = dot(dout_row, p.out + tile.q_offset + i * p.q_stride, dim);
    clear_outside(prob_row, begin, begin + seen, cols);
    clear_outside(grad_row, begin, begin + seen, cols);
    const float log_sum_exp = p.log_sum_exp[(tile.query_row + i) * p.shape.heads + head];
    if (p.shape.soft_cap > 0.0F) {
      capped_rows(prob_row + begin, grad_row + begin, log_sum_exp, delta, p.shape, seen);
      continue;
    }
    probabilities_row(prob_row + begin, log_sum_exp, seen);
    score_gradient_row(prob_row + begin, grad_row + begin, delta, p.shape.scale, seen);
  }
  ok &= product('T', 'N', cols, dim, rows, 1.0F, {prob, cols}, dout, keys_beta, p.dv + tile.kv_offset, p.kv_stride);
  ok &= product('T', 'N', cols, dim, rows, 1.0F, {grad, cols}, q, keys_beta, p.dk + tile.kv_offset, p.kv_stride);
  ok &= product('N', 'N', rows, dim, cols, 1.0F, {grad, cols}, k, first_for_queries ? 0.0F : 1.0F, p.dq + tile.q_offset,
                p.q_stride);
  return ok;
}

// The first tile of keys that the tile of queries from `query` on sees.
std::int64_t first_tile(std::int64_t query, std::int64_t window) {
  return window > 0 ? std::max<std::int64_t>(query - window + 1, 0) / kTileCols * kTileCols : 0;
}

bool run_task(const Problem& p, std::int64_t start, std::int64_t length, std::int64_t kv_head) {
  const std::int64_t group = p.shape.heads / p.shape.kv_heads;
  const std::int64_t dim = p.shape.head_dim;
  bool ok = true;
  for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    for (std::int64_t key = 0; key < length; key += kTileCols) {
      // Tiles above the diagonal and tiles before the window are skipped.
      for (std::int64_t query = key; query < length && first_tile(query, p.shape.window) <= key; query += kTileRows) {
        const Tile tile = {.query_row = start + query,
                           .rows = std::min(kTileRows, length - query),
                           .cols = std::min(kTileCols, length - key),
                           .q_offset = (start + query) * p.q_stride + head * dim,
                           .kv_offset = (start + key) * p.kv_stride + kv_head * dim,
                           .diagonal = query - key + 1,
                           .window = p.shape.window};
        ok &= run_tile(p, tile, head, head == kv_head * group && query == key, key == first_tile(query, p.shape.window));
      }
    }
  }
  return ok;
}

}  // namespace

static_assert(kTileRows == kTileCols, "the walk starts each column of tiles on the diagonal");

void attention_backward_cpu(const AttentionBackwardArguments& a, const Stream& stream) {
  check_attention_backward(a);
  check_starts_cover(a.starts, a.q.rows());
  const auto* start = a.starts.as<std::int32_t>();
  const Problem problem = {
      a.dout.as<float>(), a.q.as<float>(),  a.k.as<float>(),  a.v.as<float>(), a.out.as<float>(), a.log_sum_exp.as<float>(),
      a.dq.as<float>(),   a.dk.as<float>(), a.dv.as<float>(), a.shape,         a.q.cols(),        a.k.cols()};
  set_library_threads();  // the caller may be a thread of its own, which starts with OpenMP's default
  std::atomic<bool> failed = false;
  parallel_for((a.starts.count() - 1) * a.shape.kv_heads, stream, [&](std::int64_t i) {
    const std::int64_t s = i / a.shape.kv_heads;
    if (!run_task(problem, start[s], start[s + 1] - start[s], i % a.shape.kv_heads)) {
      failed = true;
    }
  });
  require(!failed, "attention_backward: oneDNN refused a product");
}

}  // namespace lora_dist

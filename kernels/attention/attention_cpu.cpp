// The CPU side of attention, forward: a task is a head and a tile of queries; it walks the keys with a running softmax.
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/attention/attention_tiles.h"
#include "kernels/common/exp.h"
#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/common/soft_cap.h"

namespace lora_dist {
namespace {

using namespace attention_tiles;

struct Task {
  Segment segment;
  std::int64_t first;  // query within the segment
  std::int64_t rows;
};

struct Problem {
  const float* q;
  const float* k;
  const float* v;
  float* out;
  float* log_sum_exp;
  AttentionShape shape;
  std::int64_t q_stride;
  std::int64_t kv_stride;
};

LORA_DIST_MULTIVERSION float row_max(const float* x, float top, std::int64_t n) {
#pragma omp simd reduction(max : top)
  for (std::int64_t i = 0; i < n; ++i) {
    top = x[i] > top ? x[i] : top;
  }
  return top;
}

// x[i] = exp(x[i] - top) for n elements; returns the sum.
LORA_DIST_MULTIVERSION float exp_row(float* x, float top, std::int64_t n) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) {
    x[i] = fast_exp(x[i] - top);
    sum += x[i];
  }
  return sum;
}

LORA_DIST_MULTIVERSION void multiply(float* x, float factor, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    x[i] *= factor;
  }
}

LORA_DIST_MULTIVERSION void cap_row(float* x, float cap, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    x[i] = soft_capped(x[i], cap);
  }
}

// Few queries (generation) take wider tiles of keys, so that each sgemm call has enough work.
std::int64_t tile_cols_for(std::int64_t rows) { return kTileSize / std::max<std::int64_t>(rows, 16); }

bool run_task(const Problem& p, const Task& task, std::int64_t head) {
  alignas(64) float scores[kTileSize];
  float top[kTileRows];
  float sum[kTileRows];
  std::fill_n(top, task.rows, -std::numeric_limits<float>::infinity());
  std::fill_n(sum, task.rows, 0.0F);
  const Segment& segment = task.segment;
  const std::int64_t dim = p.shape.head_dim;
  const std::int64_t kv_head = head / (p.shape.heads / p.shape.kv_heads);
  const std::int64_t row0 = segment.query + task.first;
  const Panel q = {p.q + row0 * p.q_stride + head * dim, p.q_stride};
  float* out = p.out + row0 * p.q_stride + head * dim;
  const std::int64_t window = p.shape.window;
  const std::int64_t first_key = segment.first_visible(task.first, window);
  const std::int64_t keys = segment.visible(task.first + task.rows - 1);
  const std::int64_t tile_cols = tile_cols_for(task.rows);
  bool ok = true;
  for (std::int64_t key = first_key; key < keys; key += tile_cols) {
    const std::int64_t cols = std::min(tile_cols, keys - key);
    const std::int64_t kv_offset = (segment.key + key) * p.kv_stride + kv_head * dim;
    ok &= product('N', 'T', task.rows, cols, dim, p.shape.scale, q, {p.k + kv_offset, p.kv_stride}, 0.0F, scores, cols);
    for (std::int64_t i = 0; i < task.rows; ++i) {
      float* row = scores + i * cols;
      const std::int64_t end = std::clamp<std::int64_t>(segment.visible(task.first + i) - key, 0, cols);
      const std::int64_t begin = std::clamp<std::int64_t>(segment.first_visible(task.first + i, window) - key, 0, end);
      std::fill(row, row + begin, 0.0F);
      std::fill(row + end, row + cols, 0.0F);
      if (begin == end) {
        continue;  // also before the row's first key, where it has no top yet
      }
      if (p.shape.soft_cap > 0.0F) {
        cap_row(row + begin, p.shape.soft_cap, end - begin);
      }
      const float new_top = row_max(row + begin, top[i], end - begin);
      const float shrink = key == first_key ? 0.0F : fast_exp(top[i] - new_top);
      sum[i] = sum[i] * shrink + exp_row(row + begin, new_top, end - begin);
      top[i] = new_top;
      if (key > first_key && shrink != 1.0F) {
        multiply(out + i * p.q_stride, shrink, dim);
      }
    }
    ok &= product('N', 'N', task.rows, dim, cols, 1.0F, {scores, cols}, {p.v + kv_offset, p.kv_stride},
                  key == first_key ? 0.0F : 1.0F, out, p.q_stride);
  }
  for (std::int64_t i = 0; i < task.rows; ++i) {
    multiply(out + i * p.q_stride, 1.0F / sum[i], dim);
    p.log_sum_exp[(row0 + i) * p.shape.heads + head] = top[i] + std::log(sum[i]);
  }
  return ok;
}

}  // namespace

void attention_cpu(const AttentionArguments& a, const Stream& stream) {
  check_attention(a);
  check_starts_cover(a.cu_seqlens_q, a.q.rows());
  check_starts(a.cu_seqlens_k, a.k.rows());
  const auto* query_start = a.cu_seqlens_q.as<std::int32_t>();
  const auto* key_start = a.cu_seqlens_k.as<std::int32_t>();
  std::vector<Task> tasks;
  for (std::int64_t s = 0; s + 1 < a.cu_seqlens_q.count(); ++s) {
    const Segment segment = segment_of(query_start, key_start, s);
    require(segment.keys >= segment.queries, "attention: a segment has fewer keys than queries");
    for (std::int64_t first = 0; first < segment.queries; first += kTileRows) {
      tasks.push_back({segment, first, std::min(kTileRows, segment.queries - first)});
    }
  }
  const Problem problem = {a.q.as<float>(),           a.k.as<float>(), a.v.as<float>(), a.out.as<float>(),
                           a.log_sum_exp.as<float>(), a.shape,         a.q.cols(),      a.k.cols()};
  set_library_threads();  // the caller may be a thread of its own, which starts with OpenMP's default
  std::atomic<bool> failed = false;
  parallel_for(static_cast<std::int64_t>(tasks.size()) * a.shape.heads, stream, [&](std::int64_t i) {
    if (!run_task(problem, tasks[static_cast<std::size_t>(i / a.shape.heads)], i % a.shape.heads)) {
      failed = true;
    }
  });
  require(!failed, "attention: oneDNN refused a product");
}

}  // namespace lora_dist

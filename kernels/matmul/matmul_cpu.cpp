// The CPU side of matmul: oneDNN's sgemm, one call per tile.
#include "kernels/matmul/matmul.h"

#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <atomic>

#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

struct Tiling {
  std::int64_t rows;
  std::int64_t cols;
};

// From the shape alone. Many rows: bands of rows, high enough to hide that each packs its part of B again. Few rows (a LoRA
// gradient, a step of generation): bands of columns. Little work: one tile, since waking a thread costs more than it gains.
Tiling tiling_of(std::int64_t m, std::int64_t n, std::int64_t k) {
  constexpr std::int64_t kBandRows = 256;
  constexpr std::int64_t kBandCols = 256;
  constexpr std::int64_t kWideCols = 1024;
  constexpr std::int64_t kSmallWork = 1 << 20;
  if (m * n * k <= kSmallWork) {
    return {m, n};
  }
  if (m >= 2 * kBandRows) {
    return {kBandRows, kWideCols};
  }
  return {m, kBandCols};
}

LORA_DIST_MULTIVERSION void scale_row(float* c, float beta, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    c[i] = beta == 0.0F ? 0.0F : c[i] * beta;
  }
}

}  // namespace

void matmul_cpu(ConstTensorView a, Transpose op_a, ConstTensorView b, Transpose op_b, float alpha, float beta, TensorView c,
                const Stream& stream) {
  require(a.shape.rank == 2 && b.shape.rank == 2 && c.shape.rank == 2, "matmul: a, b and c must have two dimensions");
  const bool turn_a = op_a == Transpose::yes;
  const bool turn_b = op_b == Transpose::yes;
  const std::int64_t m = c.rows();
  const std::int64_t n = c.cols();
  const std::int64_t k = turn_a ? a.rows() : a.cols();
  require((turn_a ? a.cols() : a.rows()) == m, "matmul: a does not have the rows of c");
  require((turn_b ? b.rows() : b.cols()) == n, "matmul: b does not have the columns of c");
  require((turn_b ? b.cols() : b.rows()) == k, "matmul: a and b disagree about k");
  const float* a_data = a.as<float>();
  const float* b_data = b.as<float>();
  float* c_data = c.as<float>();
  if (m == 0 || n == 0) {
    return;
  }
  if (k == 0) {
    scale_row(c_data, beta, m * n);
    return;
  }
  set_library_threads();  // the caller may be a thread of its own, which starts with OpenMP's default
  const Tiling tile = tiling_of(m, n, k);
  const std::int64_t across = (n + tile.cols - 1) / tile.cols;
  const std::int64_t down = (m + tile.rows - 1) / tile.rows;
  std::atomic<bool> failed = false;
  parallel_for(across * down, stream, [&](std::int64_t piece) {
    const std::int64_t i = piece / across * tile.rows;
    const std::int64_t j = piece % across * tile.cols;
    const dnnl_status_t status = dnnl_sgemm(turn_a ? 'T' : 'N', turn_b ? 'T' : 'N', std::min(tile.rows, m - i),
                                            std::min(tile.cols, n - j), k, alpha, turn_a ? a_data + i : a_data + i * k, a.cols(),
                                            turn_b ? b_data + j * k : b_data + j, b.cols(), beta, c_data + i * n + j, n);
    if (status != dnnl_success) {
      failed = true;
    }
  });
  require(!failed, "matmul: oneDNN refused the product");
}

}  // namespace lora_dist

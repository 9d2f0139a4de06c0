// The CPU side of matmul: oneDNN's sgemm, one call per tile.
#include "kernels/matmul/matmul.h"

#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

struct Tiling {
  std::int64_t rows;
  std::int64_t cols;
};

// The tiling depends on the shape alone. Many rows: bands of rows, tall enough to amortise packing B again. Few rows (a LoRA
// gradient, a generation step): bands of columns. Little work: one tile, since waking a thread costs more.
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

LORA_DIST_MULTIVERSION void add_row(const float* bias, float* c, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    c[i] += bias[i];
  }
}

// One tile of c and of its addends.
struct Tile {
  std::int64_t rows;
  std::int64_t cols;
  std::int64_t stride;  // between rows
  float* c;
  const float* onto;  // null: c itself
  const float* bias;  // null: none

  // Writes the addends to c, to which sgemm adds.
  void put_onto(float beta) const {
    for (std::int64_t i = 0; onto != nullptr && beta != 0.0F && i < rows; ++i) {
      std::memcpy(c + i * stride, onto + i * stride, static_cast<std::size_t>(cols) * sizeof(float));
    }
  }
  void add_bias() const {
    for (std::int64_t i = 0; bias != nullptr && i < rows; ++i) {
      add_row(bias, c + i * stride, cols);
    }
  }
};

}  // namespace

void matmul_cpu(const MatmulArguments& product, const Stream& stream) {
  const ConstTensorView& a = product.a;
  const ConstTensorView& b = product.b;
  const TensorView& c = product.c;
  const Added& added = product.added;
  require(a.shape.rank == 2 && b.shape.rank == 2 && c.shape.rank == 2, "matmul: a, b and c must have two dimensions");
  const bool turn_a = product.op_a == Transpose::yes;
  const bool turn_b = product.op_b == Transpose::yes;
  const std::int64_t m = c.rows();
  const std::int64_t n = c.cols();
  const std::int64_t k = turn_a ? a.rows() : a.cols();
  require((turn_a ? a.cols() : a.rows()) == m, "matmul: a does not have the rows of c");
  require((turn_b ? b.rows() : b.cols()) == n, "matmul: b does not have the columns of c");
  require((turn_b ? b.cols() : b.rows()) == k, "matmul: a and b disagree about k");
  const float* a_data = a.as<float>();
  const float* b_data = b.as<float>();
  float* c_data = c.as<float>();
  require_added(added, c);
  const float* onto = added.onto.data == nullptr ? nullptr : added.onto.as<float>();
  const float* bias = added.bias.data == nullptr ? nullptr : added.bias.as<float>();
  if (m == 0 || n == 0) {
    return;
  }
  if (k == 0) {
    const Tile whole{m, n, n, c_data, onto, bias};
    whole.put_onto(added.beta);
    scale_row(c_data, added.beta, m * n);
    whole.add_bias();
    return;
  }
  set_library_threads();  // the caller may be a thread of its own, which starts with OpenMP's default
  const Tiling tiling = tiling_of(m, n, k);
  const std::int64_t across = (n + tiling.cols - 1) / tiling.cols;
  const std::int64_t down = (m + tiling.rows - 1) / tiling.rows;
  std::atomic<bool> failed = false;
  parallel_for(across * down, stream, [&](std::int64_t piece) {
    const std::int64_t i = piece / across * tiling.rows;
    const std::int64_t j = piece % across * tiling.cols;
    const Tile tile{std::min(tiling.rows, m - i),
                    std::min(tiling.cols, n - j),
                    n,
                    c_data + i * n + j,
                    onto == nullptr ? nullptr : onto + i * n + j,
                    bias == nullptr ? nullptr : bias + j};
    tile.put_onto(added.beta);
    const dnnl_status_t status = dnnl_sgemm(turn_a ? 'T' : 'N', turn_b ? 'T' : 'N', tile.rows, tile.cols, k, product.alpha,
                                            turn_a ? a_data + i : a_data + i * k, a.cols(), turn_b ? b_data + j * k : b_data + j,
                                            b.cols(), added.beta, tile.c, n);
    tile.add_bias();
    if (status != dnnl_success) {
      failed = true;
    }
  });
  require(!failed, "matmul: oneDNN refused the product");
}

}  // namespace lora_dist

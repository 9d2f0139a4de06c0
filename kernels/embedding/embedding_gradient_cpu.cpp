// The CPU side of embedding_gradient: pieces of columns, token by token.
#include "kernels/embedding/embedding_gradient.h"

#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kColumnsOfPiece = 64;

LORA_DIST_MULTIVERSION void add_scaled_values(const float* in, float scale, float* out, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] += scale * in[i];
  }
}

}  // namespace

void embedding_gradient_cpu(ConstTensorView ids, std::int64_t first, ConstTensorView dx, float scale, TensorView table,
                            const Stream& stream) {
  check_embedding_gradient(ids, dx, table);
  const std::int64_t hidden = table.cols();
  const auto* id = ids.as<std::int32_t>();
  const float* from = dx.as<float>();
  float* to = table.as<float>();
  parallel_ranges(hidden, kColumnsOfPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = 0; t < ids.count(); ++t) {
      const std::int64_t row = id[t] - first;
      if (row >= 0 && row < table.rows()) {
        add_scaled_values(from + t * hidden + begin, scale, to + row * hidden + begin, end - begin);
      }
    }
  });
}

}  // namespace lora_dist

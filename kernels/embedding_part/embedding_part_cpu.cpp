// The CPU side of embedding_part.
#include "kernels/embedding_part/embedding_part.h"

#include <algorithm>

#include "kernels/common/parallel.h"
#include "kernels/common/widen_row.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kTokensPerPiece = 64;

}  // namespace

void embedding_part_cpu(ConstTensorView ids, std::int64_t first, ConstTensorView table, TensorView out, const Stream& stream) {
  check_embedding_part(ids, table, out);
  require(table.dtype == DType::f32 || table.dtype == DType::f16 || table.dtype == DType::bf16,
          "embedding_part: the table must be f32, f16 or bf16");
  const std::int32_t* id = ids.as<std::int32_t>();
  float* rows = out.as<float>();
  const std::int64_t hidden = table.cols();
  parallel_ranges(ids.count(), kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t row = id[t] - first;
      if (row >= 0 && row < table.rows()) {
        widen_row(table, row, rows + t * hidden);
      }
    }
  });
}

}  // namespace lora_dist

// The CPU side of embedding: copies or widens one row per token.
#include <cstring>

#include "kernels/common/half.h"
#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/embedding/embedding.h"

namespace lora_dist {
namespace {

LORA_DIST_MULTIVERSION void widen_bf16(const std::uint16_t* in, float* out, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] = float_of_bf16(in[i]);
  }
}

LORA_DIST_MULTIVERSION void widen_f16(const std::uint16_t* in, float* out, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] = float_of_f16(in[i]);
  }
}

void copy_row(ConstTensorView table, std::int64_t row, float* out) {
  const std::int64_t hidden = table.cols();
  if (table.dtype == DType::f32) {
    std::memcpy(out, static_cast<const float*>(table.data) + row * hidden, static_cast<std::size_t>(hidden) * sizeof(float));
    return;
  }
  const std::uint16_t* in = static_cast<const std::uint16_t*>(table.data) + row * hidden;
  if (table.dtype == DType::bf16) {
    widen_bf16(in, out, hidden);
  } else {
    widen_f16(in, out, hidden);
  }
}

}  // namespace

void embedding_cpu(ConstTensorView ids, ConstTensorView table, TensorView out, const Stream& stream) {
  require(table.shape.rank == 2, "embedding: the table must be [vocab, hidden]");
  require(table.dtype == DType::f32 || table.dtype == DType::f16 || table.dtype == DType::bf16,
          "embedding: the table must be f32, f16 or bf16");
  const std::int64_t tokens = ids.count();
  const std::int64_t hidden = table.cols();
  require(out.shape == Shape{tokens, hidden}, "embedding: out must be [tokens, hidden]");
  const std::int32_t* id = ids.as<std::int32_t>();
  float* rows = out.as<float>();
  for (std::int64_t t = 0; t < tokens; ++t) {
    require(id[t] >= 0 && id[t] < table.rows(), "embedding: a token id lies outside the table");
  }
  parallel_ranges(tokens, 64, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      copy_row(table, id[t], rows + t * hidden);
    }
  });
}

}  // namespace lora_dist

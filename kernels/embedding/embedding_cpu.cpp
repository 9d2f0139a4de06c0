// The CPU side of embedding, of a part of it, and of add_rows: copies, widens or adds one row per token.
#include "kernels/common/half.h"
#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/common/widen_row.h"
#include "kernels/embedding/embedding.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kTokensPerPiece = 64;

LORA_DIST_MULTIVERSION void add_f32(const float* in, float* out, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] += in[i];
  }
}

LORA_DIST_MULTIVERSION void add_bf16(const std::uint16_t* in, float* out, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] += float_of_bf16(in[i]);
  }
}

LORA_DIST_MULTIVERSION void add_f16(const std::uint16_t* in, float* out, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] += float_of_f16(in[i]);
  }
}

void add_row(ConstTensorView table, std::int64_t row, float* out) {
  const std::int64_t hidden = table.cols();
  if (table.dtype == DType::f32) {
    add_f32(static_cast<const float*>(table.data) + row * hidden, out, hidden);
    return;
  }
  const std::uint16_t* in = static_cast<const std::uint16_t*>(table.data) + row * hidden;
  if (table.dtype == DType::bf16) {
    add_bf16(in, out, hidden);
  } else {
    add_f16(in, out, hidden);
  }
}

void check_index(ConstTensorView index, ConstTensorView table) {
  const std::int32_t* row = index.as<std::int32_t>();
  for (std::int64_t t = 0; t < index.count(); ++t) {
    require(row[t] >= 0 && row[t] < table.rows(), "embedding: an index lies outside the table");
  }
}

/// Calls work(table, row of the table, row of out) for every token whose id minus `first` is a row of the table.
template <class Work>
void for_each_token(ConstTensorView ids, std::int64_t first, ConstTensorView table, TensorView out, const Stream& stream,
                    Work work) {
  const std::int32_t* id = ids.as<std::int32_t>();
  float* rows = out.as<float>();
  parallel_ranges(ids.count(), kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const std::int64_t row = id[t] - first;
      if (row >= 0 && row < table.rows()) {
        work(table, row, rows + t * table.cols());
      }
    }
  });
}

}  // namespace

void embedding_cpu(ConstTensorView ids, ConstTensorView table, TensorView out, const Stream& stream) {
  check_embedding(ids, table, out);
  check_index(ids, table);
  for_each_token(ids, 0, table, out, stream, widen_row);
}

void embedding_part_cpu(ConstTensorView ids, std::int64_t first, ConstTensorView table, TensorView out, const Stream& stream) {
  check_embedding(ids, table, out);
  for_each_token(ids, first, table, out, stream, widen_row);
}

void add_rows_cpu(ConstTensorView table, ConstTensorView index, TensorView y, const Stream& stream) {
  check_embedding(index, table, y);
  check_index(index, table);
  for_each_token(index, 0, table, y, stream, add_row);
}

}  // namespace lora_dist

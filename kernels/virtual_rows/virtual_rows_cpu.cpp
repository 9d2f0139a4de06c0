// The CPU side of put_virtual_rows and take_virtual_rows: a virtual row at a time.
#include <algorithm>

#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/virtual_rows/virtual_rows.h"

namespace lora_dist {
namespace {

LORA_DIST_MULTIVERSION void add_scaled_row(const float* in, float scale, float* out, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] += scale * in[i];
  }
}

void check_sequences(ConstTensorView table, const VirtualRows& at) {
  const auto* starts = at.starts.as<std::int32_t>();
  for (std::int64_t s = 0; s + 1 < at.starts.count(); ++s) {
    require(starts[s + 1] - starts[s] >= table.rows(), "virtual rows: a sequence is shorter than the table");
  }
}

/// Calls work(row of x) for virtual row j of every sequence.
template <class Work>
void for_each_sequence(const VirtualRows& at, std::int64_t j, TensorView x, Work work) {
  const auto* starts = at.starts.as<std::int32_t>();
  for (std::int64_t s = 0; s + 1 < at.starts.count(); ++s) {
    const std::int64_t row = starts[s] + j - at.first_row;
    if (row >= 0 && row < x.rows()) {
      work(x.as<float>() + row * x.cols());
    }
  }
}

}  // namespace

void put_virtual_rows_cpu(ConstTensorView table, const VirtualRows& at, TensorView x, const Stream& stream) {
  check_virtual_rows(table, at, x);
  check_sequences(table, at);
  parallel_ranges(table.rows(), 1, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t j = begin; j < end; ++j) {
      const float* from = table.as<float>() + j * table.cols() + at.first_column;
      for_each_sequence(at, j, x, [&](float* row) { std::copy_n(from, x.cols(), row); });
    }
  });
}

void take_virtual_rows_cpu(TensorView dx, const VirtualRows& at, float scale, TensorView table, const Stream& stream) {
  check_virtual_rows(table, at, dx);
  check_sequences(table, at);
  parallel_ranges(table.rows(), 1, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t j = begin; j < end; ++j) {
      float* to = table.as<float>() + j * table.cols() + at.first_column;
      std::fill_n(to, dx.cols(), 0.0F);
      for_each_sequence(at, j, dx, [&](float* row) {
        add_scaled_row(row, scale, to, dx.cols());
        std::fill_n(row, dx.cols(), 0.0F);
      });
    }
  });
}

}  // namespace lora_dist

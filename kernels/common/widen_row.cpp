// Copies or widens, once per instruction set.
#include "kernels/common/widen_row.h"

#include <cstring>

#include "kernels/common/half.h"
#include "kernels/common/multiversion.h"

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

}  // namespace

void widen(const void* in, DType dtype, float* out, std::int64_t n) {
  if (dtype == DType::f32) {
    std::memcpy(out, in, static_cast<std::size_t>(n) * sizeof(float));
  } else if (dtype == DType::bf16) {
    widen_bf16(static_cast<const std::uint16_t*>(in), out, n);
  } else {
    widen_f16(static_cast<const std::uint16_t*>(in), out, n);
  }
}

void widen_row(ConstTensorView table, std::int64_t row, float* out) {
  const std::int64_t width = table.cols();
  const auto* from = static_cast<const std::byte*>(table.data) + row * width * static_cast<std::int64_t>(size_of(table.dtype));
  widen(from, table.dtype, out, width);
}

}  // namespace lora_dist

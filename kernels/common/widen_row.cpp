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

void widen_row(ConstTensorView table, std::int64_t row, float* out) {
  const std::int64_t width = table.cols();
  if (table.dtype == DType::f32) {
    std::memcpy(out, static_cast<const float*>(table.data) + row * width, static_cast<std::size_t>(width) * sizeof(float));
    return;
  }
  const std::uint16_t* in = static_cast<const std::uint16_t*>(table.data) + row * width;
  if (table.dtype == DType::bf16) {
    widen_bf16(in, out, width);
  } else {
    widen_f16(in, out, width);
  }
}

}  // namespace lora_dist

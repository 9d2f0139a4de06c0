// The CPU side of cast.
#include <cstring>

#include "kernels/common/half.h"
#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/common/widen_row.h"
#include "kernels/elementwise/elementwise.h"

namespace lora_dist {
namespace {

LORA_DIST_MULTIVERSION void f32_to_bf16(const float* in, std::uint16_t* out, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] = bf16_of_float(in[i]);
  }
}

LORA_DIST_MULTIVERSION void f32_to_f16(const float* in, std::uint16_t* out, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] = f16_of_float(in[i]);
  }
}

bool is_float(DType dtype) { return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16; }

void cast_range(ConstTensorView in, TensorView out, std::int64_t begin, std::int64_t n) {
  const auto* wide_in = static_cast<const float*>(in.data) + begin;
  auto* wide_out = static_cast<float*>(out.data) + begin;
  auto* narrow_out = static_cast<std::uint16_t*>(out.data) + begin;
  if (in.dtype == DType::f32 && out.dtype == DType::f32) {
    std::memmove(wide_out, wide_in, static_cast<std::size_t>(n) * sizeof(float));
  } else if (out.dtype == DType::f32) {
    widen(static_cast<const std::uint16_t*>(in.data) + begin, in.dtype, wide_out, n);
  } else if (out.dtype == DType::bf16) {
    f32_to_bf16(wide_in, narrow_out, n);
  } else {
    f32_to_f16(wide_in, narrow_out, n);
  }
}

}  // namespace

void cast_cpu(ConstTensorView in, TensorView out, const Stream& stream) {
  require(in.count() == out.count(), "cast: in and out must have equal counts");
  require(is_float(in.dtype) && is_float(out.dtype), "cast: only between f32, f16 and bf16");
  require(in.dtype == DType::f32 || out.dtype == DType::f32, "cast: one side must be f32");
  parallel_ranges(in.count(), 1 << 16, stream,
                  [&](std::int64_t begin, std::int64_t end) { cast_range(in, out, begin, end - begin); });
}

}  // namespace lora_dist

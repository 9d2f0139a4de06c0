// GELU at one point on the GPU (kernels/common/gelu_point.h has the formulas). Only for .cu files.
#pragma once

#include <cmath>
#include <type_traits>

#include "kernels/common/cuda_kernel.h"
#include "kernels/common/gelu_point.h"

namespace lora_dist {

template <Gelu kForm>
__device__ GeluPoint gelu_point_cuda(float x) {
  constexpr float kFar = 16.0F;  // beyond it every share is 0 or 1, and powers of x could overflow
  float a = x < -kFar ? -kFar : x;
  a = a > kFar ? kFar : a;
  if constexpr (kForm == Gelu::erf) {
    constexpr float kRootHalf = 0.70710678F;
    constexpr float kDensity = 0.39894228F;  // 1 / sqrt(2 pi)
    const float share = 0.5F * erfcf(-a * kRootHalf);
    return {share, share + a * expf(-0.5F * a * a) * kDensity};
  } else {
    constexpr float kLinear = 1.5957691F;  // 2 sqrt(2 / pi)
    constexpr float kCubic = 0.07135481F;  // 0.044715 of it
    const float twice_u = a * (kLinear + kCubic * a * a);
    const float e = expf(-fabsf(twice_u));
    const float larger = 1.0F / (1.0F + e);
    const float share = twice_u < 0.0F ? e * larger : larger;
    return {share, share + a * (e * larger * larger) * (kLinear + 3.0F * kCubic * a * a)};
  }
}

/// Calls work(std::integral_constant<Gelu, form>{}), so that kernels are made for each form.
template <class Work>
void with_gelu(Gelu form, Work work) {
  if (form == Gelu::erf) {
    work(std::integral_constant<Gelu, Gelu::erf>{});
  } else {
    work(std::integral_constant<Gelu, Gelu::tanh>{});
  }
}

}  // namespace lora_dist

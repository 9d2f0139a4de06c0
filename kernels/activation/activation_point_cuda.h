// Activations at one point on the GPU (activation_point.h has the formulas). Only for .cu files.
#pragma once

#include <cmath>

#include "kernels/activation/activation_point.h"
#include "kernels/common/cuda_kernel.h"

namespace lora_dist {

template <Activation kAct>
__device__ ActivationPoint gelu_point_on_device(float x) {
  constexpr float kFar = 16.0F;  // beyond it every share is 0 or 1, and powers of x could overflow
  float a = x < -kFar ? -kFar : x;
  a = a > kFar ? kFar : a;
  if constexpr (kAct == Activation::gelu_erf) {
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

template <Activation kAct>
__device__ ActivationPoint point_on_device(float x) {
  if constexpr (kAct == Activation::silu) {
    const float s = 1.0F / (1.0F + expf(-x));
    return {s, s * (1.0F + x * (1.0F - s))};
  } else if constexpr (kAct == Activation::relu_squared) {
    const float positive = x < 0.0F ? 0.0F : x;
    return {positive, 2.0F * positive};
  } else if constexpr (kAct == Activation::relu) {
    return {x < 0.0F ? 0.0F : 1.0F, x > 0.0F ? 1.0F : 0.0F};
  } else {
    return gelu_point_on_device<kAct>(x);
  }
}

/// act(x). SiLU has one rounding less than x * share.
template <Activation kAct>
__device__ float value_on_device(float x) {
  if constexpr (kAct == Activation::silu) {
    return x / (1.0F + expf(-x));
  } else if constexpr (kAct == Activation::relu) {
    return x < 0.0F ? 0.0F : x;
  } else {
    return x * point_on_device<kAct>(x).share;
  }
}

}  // namespace lora_dist

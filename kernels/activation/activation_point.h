// Activations at one point on the CPU, in plain arithmetic that vectorises: plain and gated operators share them.
#pragma once

#include <cmath>
#include <type_traits>

#include "kernels/activation/activation.h"
#include "kernels/common/exp.h"

namespace lora_dist {

/// act(x) = x * share; slope is its derivative.
struct ActivationPoint {
  float share;
  float slope;
};

/// silu'(x) = s (1 + x (1 - s)) with s = 1 / (1 + exp(-x)).
__attribute__((always_inline)) inline ActivationPoint silu_point(float x) {
  const float s = 1.0F / (1.0F + fast_exp(-x));
  return {s, s * (1.0F + x * (1.0F - s))};
}

// Beyond this every share is 0 or 1 in float, and powers of x cannot overflow. NaN stays.
__attribute__((always_inline)) inline float near_gelu_bend(float x) {
  constexpr float kFar = 16.0F;
  x = x < -kFar ? -kFar : x;
  return x > kFar ? kFar : x;
}

/// Phi(-|x|) = exp(-x^2 / 2) t P(t) with t = 1 / (1 + 0.35 |x| / sqrt 2): P is fitted to within 8e-9 of the whole, relatively,
/// from 0 to |x| = 14.8, where the exponential has gone to 0.
__attribute__((always_inline)) inline ActivationPoint gelu_erf_point(float x) {
  constexpr float kDensity = 0.39894228F;  // 1 / sqrt(2 pi)
  const float a = near_gelu_bend(x);
  const float e = fast_exp(-0.5F * a * a);
  const float t = 1.0F / (1.0F + 0.24748737F * std::fabs(a));
  float p = 0.019541056F;
  p = p * t - 0.081366258F;
  p = p * t + 0.095343677F;
  p = p * t - 0.02021715F;
  p = p * t + 0.049003917F;
  p = p * t + 0.069948377F;
  p = p * t + 0.076704168F;
  p = p * t + 0.093701125F;
  p = p * t + 0.098600893F;
  p = p * t + 0.098740159F;
  const float tail = e * t * p;
  const float share = a < 0.0F ? tail : 1.0F - tail;
  return {share, share + a * e * kDensity};
}

/// (1 + tanh(u)) / 2 is the logistic function of 2u; written with exp(-|2u|), so that nothing overflows or cancels.
__attribute__((always_inline)) inline ActivationPoint gelu_tanh_point(float x) {
  constexpr float kLinear = 1.5957691F;  // 2 sqrt(2 / pi)
  constexpr float kCubic = 0.07135481F;  // 0.044715 of it
  const float a = near_gelu_bend(x);
  const float twice_u = a * (kLinear + kCubic * a * a);
  const float e = fast_exp(-std::fabs(twice_u));
  const float larger = 1.0F / (1.0F + e);
  const float share = twice_u < 0.0F ? e * larger : larger;
  return {share, share + a * (e * larger * larger) * (kLinear + 3.0F * kCubic * a * a)};
}

/// NaN stays.
__attribute__((always_inline)) inline ActivationPoint relu_squared_point(float x) {
  const float positive = x < 0.0F ? 0.0F : x;
  return {positive, 2.0F * positive};
}

__attribute__((always_inline)) inline ActivationPoint relu_point(float x) {
  return {x < 0.0F ? 0.0F : 1.0F, x > 0.0F ? 1.0F : 0.0F};
}

template <Activation kAct>
__attribute__((always_inline)) inline ActivationPoint point_of(float x) {
  if constexpr (kAct == Activation::silu) {
    return silu_point(x);
  } else if constexpr (kAct == Activation::gelu_tanh) {
    return gelu_tanh_point(x);
  } else if constexpr (kAct == Activation::relu_squared) {
    return relu_squared_point(x);
  } else if constexpr (kAct == Activation::relu) {
    return relu_point(x);
  } else {
    return gelu_erf_point(x);
  }
}

/// act(x). SiLU has one rounding less than x * share.
template <Activation kAct>
__attribute__((always_inline)) inline float value_of(float x) {
  if constexpr (kAct == Activation::silu) {
    return x / (1.0F + fast_exp(-x));
  } else if constexpr (kAct == Activation::relu) {
    return x < 0.0F ? 0.0F : x;  // an infinity times a share of 0 would be no number
  } else {
    return x * point_of<kAct>(x).share;
  }
}

/// Calls work(std::integral_constant<Activation, act>{}), so that loops and kernels are made for each activation.
template <class Work>
__attribute__((always_inline)) inline void with_activation(Activation act, Work work) {
  switch (act) {
    case Activation::silu:
      work(std::integral_constant<Activation, Activation::silu>{});
      return;
    case Activation::gelu_tanh:
      work(std::integral_constant<Activation, Activation::gelu_tanh>{});
      return;
    case Activation::gelu_erf:
      work(std::integral_constant<Activation, Activation::gelu_erf>{});
      return;
    case Activation::relu_squared:
      work(std::integral_constant<Activation, Activation::relu_squared>{});
      return;
    case Activation::relu:
      work(std::integral_constant<Activation, Activation::relu>{});
      return;
  }
}

}  // namespace lora_dist

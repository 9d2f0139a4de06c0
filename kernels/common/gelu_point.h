// GELU at one point on the CPU, in plain arithmetic that vectorises: the plain operator and the gated one share it.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/common/exp.h"

namespace lora_dist {

/// Gaussian error linear unit (Hendrycks and Gimpel, 2016): `erf` is x Phi(x) with the normal distribution Phi; `tanh` its
/// approximation x / 2 (1 + tanh(u)), u = sqrt(2 / pi) (x + 0.044715 x^3) (gelu_new, gelu_pytorch_tanh, gelu_fast).
enum class Gelu : std::uint8_t { erf, tanh };

/// gelu(x) = x * share; slope is its derivative.
struct GeluPoint {
  float share;
  float slope;
};

// Beyond this every share is 0 or 1 in float, and powers of x cannot overflow. NaN stays.
__attribute__((always_inline)) inline float near_gelu_bend(float x) {
  constexpr float kFar = 16.0F;
  x = x < -kFar ? -kFar : x;
  return x > kFar ? kFar : x;
}

/// Phi(-|x|) = exp(-x^2 / 2) t P(t) with t = 1 / (1 + 0.35 |x| / sqrt 2): P is fitted to within 8e-9 of the whole, relatively,
/// from 0 to |x| = 14.8, where the exponential has gone to 0.
__attribute__((always_inline)) inline GeluPoint gelu_erf_point(float x) {
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
__attribute__((always_inline)) inline GeluPoint gelu_tanh_point(float x) {
  constexpr float kLinear = 1.5957691F;  // 2 sqrt(2 / pi)
  constexpr float kCubic = 0.07135481F;  // 0.044715 of it
  const float a = near_gelu_bend(x);
  const float twice_u = a * (kLinear + kCubic * a * a);
  const float e = fast_exp(-std::fabs(twice_u));
  const float larger = 1.0F / (1.0F + e);
  const float share = twice_u < 0.0F ? e * larger : larger;
  return {share, share + a * (e * larger * larger) * (kLinear + 3.0F * kCubic * a * a)};
}

}  // namespace lora_dist

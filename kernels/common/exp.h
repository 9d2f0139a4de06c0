// exp of a float in plain arithmetic, so that loops around it vectorise.
#pragma once

#include <bit>
#include <cstdint>

namespace lora_dist {

/// e^x within 2 units in the last place; 0 for -inf, inf above 88.73, NaN for NaN, and rounded subnormals in between.
/// x = n ln 2 + r with |r| <= ln 2 / 2; e^r is its series to r^7, whose next term is below 6e-9; 2^n is applied in two halves so
/// that neither overflows before the result does.
__attribute__((always_inline)) inline float fast_exp(float x) {
  constexpr float kRounder = 12582912.0F;   // 1.5 * 2^23: adding it leaves a rounded integer in the low bits
  constexpr float kLn2High = 0.693359375F;  // few bits, so that n * kLn2High is exact
  constexpr float kLn2Low = -2.12194440e-4F;
  x = x < -110.0F ? -110.0F : x;  // written so that NaN stays
  x = x > 90.0F ? 90.0F : x;
  const float shifted = x * 1.44269504F + kRounder;
  const float n = shifted - kRounder;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = 1.0F / 5040.0F;
  p = p * r + 1.0F / 720.0F;
  p = p * r + 1.0F / 120.0F;
  p = p * r + 1.0F / 24.0F;
  p = p * r + 1.0F / 6.0F;
  p = p * r + 0.5F;
  p = p * (r * r) + r + 1.0F;
  const std::int32_t power = std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kRounder);
  const std::int32_t half = power >> 1;
  const float scale_a = std::bit_cast<float>((half + 127) << 23);
  const float scale_b = std::bit_cast<float>((power - half + 127) << 23);
  return p * scale_a * scale_b;
}

}  // namespace lora_dist

// The soft cap of scores and logits, y = cap * tanh(x / cap) (Gemma 2), in plain arithmetic, so that loops around it vectorise.
#pragma once

#include <cmath>

#include "kernels/common/device_code.h"
#include "kernels/common/exp.h"

namespace lora_dist {

/// tanh(x) within 3 units in the last place: by exp(-2|x|), and near 0, where that would cancel, by its series to x^9, whose next
/// term is below 3e-8 of the value.
__attribute__((always_inline)) inline float fast_tanh(float x) {
  constexpr float kNear = 0.3F;
  const float e = fast_exp(-2.0F * std::fabs(x));
  const float far = std::copysign((1.0F - e) / (1.0F + e), x);
  const float square = x * x;
  float p = 62.0F / 2835.0F;
  p = p * square - 17.0F / 315.0F;
  p = p * square + 2.0F / 15.0F;
  p = p * square - 1.0F / 3.0F;
  const float near = x + x * (square * p);
  return std::fabs(x) < kNear ? near : far;
}

__attribute__((always_inline)) inline float soft_capped(float x, float cap) { return cap * fast_tanh(x / cap); }

/// The derivative, from the capped value.
LORA_DIST_DEVICE inline float soft_cap_slope(float capped, float cap) { return 1.0F - (capped / cap) * (capped / cap); }

}  // namespace lora_dist

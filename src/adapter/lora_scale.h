// The factor of LoRA's product.
#pragma once

#include <cmath>
#include <cstdint>

namespace lora_dist {

/// alpha / r, or alpha / sqrt(r) for rsLoRA (Kalajdzievski 2023, arXiv:2312.03732).
inline double lora_scale(double alpha, std::int64_t r, bool rslora) {
  const auto rank = static_cast<double>(r);
  return alpha / (rslora ? std::sqrt(rank) : rank);
}

}  // namespace lora_dist

// The constants of one AdamW step, for the CPU and CUDA sides: torch's single-tensor path, constants in double and elements in
// float.
#pragma once

#include <cmath>

#include "kernels/adamw/adamw.h"

namespace lora_dist {

struct AdamWConstants {
  float decay;     // 1 - lr * weight_decay
  float weight_m;  // 1 - beta1
  float beta2;
  float weight_v;    // 1 - beta2
  float step_size;   // lr / bias1
  float root_bias2;  // sqrt(bias2)
  float eps;
};

inline AdamWConstants adamw_constants(const AdamWStep& step) {
  const auto t = static_cast<double>(step.step);
  const double bias1 = 1.0 - std::pow(step.beta1, t);
  const double bias2 = 1.0 - std::pow(step.beta2, t);
  return {.decay = static_cast<float>(1.0 - step.learning_rate * step.weight_decay),
          .weight_m = static_cast<float>(1.0 - step.beta1),
          .beta2 = static_cast<float>(step.beta2),
          .weight_v = static_cast<float>(1.0 - step.beta2),
          .step_size = static_cast<float>(step.learning_rate / bias1),
          .root_bias2 = static_cast<float>(std::sqrt(bias2)),
          .eps = static_cast<float>(step.eps)};
}

}  // namespace lora_dist

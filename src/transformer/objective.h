// The function that training minimizes.
#pragma once

#include <functional>
#include <span>

#include "src/transformer/micro_batch.h"

namespace lora_dist {

/// A function of a micro-batch's token losses: the cross-entropies of the tokens with a target, in order.
struct Objective {
  float scale = 1.0F;  // gradients are scaled by it
  /// Returns the value, and writes its derivative by each token loss to `weights`. Empty: the sum of the losses in double, whose
  /// derivatives are 1; then a device computes the gradient without sending the losses to the host.
  std::function<double(const MicroBatch& batch, std::span<const float> token_loss, std::span<float> weights)> value = {};
};

/// The sum of token losses in token order, in double.
inline double sum_of_losses(std::span<const float> token_loss) {
  double sum = 0.0;
  for (const float loss : token_loss) {
    sum += static_cast<double>(loss);
  }
  return sum;
}

}  // namespace lora_dist

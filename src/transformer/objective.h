// What training minimizes.
#pragma once

#include <functional>
#include <span>

#include "src/transformer/micro_batch.h"

namespace lora_dist {

/// A function of the token losses of a micro-batch: the cross-entropies of its tokens that have a target, in their order.
struct Objective {
  float scale = 1.0F;  // gradients are those of scale * value
  /// Returns the value, and writes its derivative by each token loss to `weights`. Empty: the sum of the losses, added in double,
  /// whose derivatives are 1; then a device computes the gradient without the host's knowing the losses.
  std::function<double(const MicroBatch& batch, std::span<const float> token_loss, std::span<float> weights)> value = {};
};

/// The sum of token losses in the order of the tokens, in double.
inline double sum_of_losses(std::span<const float> token_loss) {
  double sum = 0.0;
  for (const float loss : token_loss) {
    sum += static_cast<double>(loss);
  }
  return sum;
}

}  // namespace lora_dist

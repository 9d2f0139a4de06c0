// What tensor-parallel ranks do together: after a linear that is cut by columns, and before one that is cut by rows is left
// backwards, each has a share of a sum (the functions f and g of Megatron-LM).
#pragma once

#include "src/model/lora_linear.h"

namespace lora_dist {

/// x = the sum of the ranks' shares. Nothing happens where one rank computes alone.
inline void sum_over_tensor(const LoraPass& pass, const TensorView& x) {
  if (pass.tensor != nullptr) {
    pass.tensor->all_reduce_sum(x, WireKind::tensor_activation);
  }
}

/// Whether this rank's share is the one that contains what is there once: the residual.
inline bool has_residual(const LoraPass& pass) { return pass.tensor == nullptr || pass.tensor->rank() == 0; }

}  // namespace lora_dist

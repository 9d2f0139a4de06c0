// The options of AdaLoRA's budget, in configurations and in adapter folders.
#pragma once

#include <cstdint>

namespace lora_dist {

/// Zhang et al. 2023, arXiv:2303.10512; names and defaults are PEFT's.
struct AdaLoraOptions {
  std::int64_t init_r = 12;      // ranks of a module at the start
  std::int64_t target_r = 8;     // of a module at the end, on average
  std::int64_t tinit = 0;        // steps before the first rank is pruned
  std::int64_t tfinal = 0;       // last steps, in which the ranks that are left stay
  std::int64_t delta_t = 1;      // steps between two choices of ranks
  double beta1 = 0.85;           // of the running mean of importance
  double beta2 = 0.85;           // of its uncertainty
  double orth_reg_weight = 0.5;  // of the orthogonality of A and B in the loss

  bool operator==(const AdaLoraOptions&) const = default;
};

}  // namespace lora_dist

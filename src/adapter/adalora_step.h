// The steps of AdaLoRA (Zhang et al. 2023, arXiv:2303.10512) beside the update: orthogonality of A and B, and the budget of
// ranks, as PEFT's RankAllocator has them.
#pragma once

#include "src/adapter/step_hooks.h"

namespace lora_dist {

StepMemory take_adalora_memory(const AdapterLayout& layout, Arena& arena);

/// The term orth_reg_weight * mean over all A and B of |A A^T - I| or |B^T B - I| (Frobenius norms).
RegularizationLoss add_orthogonality(const MethodStep& step);

/// The ranks of all modules together after this step. `all`: at the start; `target`: at the end.
std::int64_t ranks_at(const AdaLoraOptions& options, std::int64_t step, std::int64_t total_steps, std::int64_t all,
                      std::int64_t target);

/// Updates the importance of parameters; where the schedule says so, chooses the most important ranks and sets E of the others to
/// zero.
void choose_ranks(const MethodStep& step);

}  // namespace lora_dist

// AdaLoRA in PEFT's folders and merged.
#pragma once

#include "src/adapter/method_folder.h"
#include "src/adapter/step_hooks.h"

namespace lora_dist {

PeftCodec adalora_codec();
MergeHooks adalora_merge();

/// alpha / (r + 1e-5) for r = init_r; r in place of an alpha that is not positive, as in PEFT.
double adalora_scale(double alpha, std::int64_t r, bool rslora);

/// Rows of A and E and columns of B for the ranks that are kept; without a choice, all. Notes the choice in peft.kept_ranks.
KeptTensors kept_tensors(const AdapterLayout& layout, const RankBudget& budget, std::span<const float> params, PeftConfig& peft);

/// The factors of plain LoRA with the same product: diag(E) A and B. The module has ranks.
AdapterMatrix scaled_factor_a(const AdaptedModule& module);

}  // namespace lora_dist

// VeRA in PEFT's folders and merged, and its projections.
#pragma once

#include "src/adapter/method_folder.h"

namespace lora_dist {

PeftCodec vera_codec();
MergeHooks vera_merge();

/// vera_A [r, in] and vera_B [out, r] as PEFT draws them: from one generator seeded with the key, A first, uniform in
/// +-sqrt(6 / columns).
SharedTensors draw_projections(const PeftConfig& peft, std::int64_t in, std::int64_t out);

}  // namespace lora_dist

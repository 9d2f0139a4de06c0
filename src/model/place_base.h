// Moves a base that was loaded on the host to where the operators run.
#pragma once

#include "src/model/frozen_shard.h"

namespace lora_dist {

/// The same base in the memory of `arena`, made for `stream`. The head (and a tied embedding) is rounded to `compute_dtype`;
/// norms and biases stay f32, and the blocks' parts keep their bytes. `host` is not needed afterwards. Throws
/// Error(out_of_memory).
FrozenBase place_base(const FrozenBase& host, DType compute_dtype, Arena& arena, const Stream& stream);

}  // namespace lora_dist

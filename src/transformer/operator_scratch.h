// The memory that operators take for themselves, taken before training starts.
#pragma once

#include <cstdint>

#include "src/core/arena.h"
#include "src/model/model_config.h"
#include "src/transformer/workspace.h"

namespace lora_dist {

/// Calls, on whatever the buffers hold, the operators that keep memory of their own, with the shapes of the largest
/// micro-batches: segments of `longest` tokens, as many as fit, and one of them with many short ones. Afterwards the stream holds
/// all that it will need, and the arena's table shows how much. Nothing to do on the CPU. Throws Error(out_of_memory).
void take_operator_scratch(const ModelSpec& spec, const Workspace& workspace, std::int64_t longest, bool training, Arena& arena,
                           const Stream& stream);

}  // namespace lora_dist

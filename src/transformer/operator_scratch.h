// Takes the operators' own memory before training starts.
#pragma once

#include <cstdint>

#include "src/core/arena.h"
#include "src/model/model_config.h"
#include "src/transformer/workspace.h"

namespace lora_dist {

/// Calls the operators that keep memory of their own, on arbitrary data, with the shapes of the largest micro-batches: as many
/// segments of `longest` tokens as fit, and one such segment with many short ones. Afterwards the stream holds all memory that it
/// will need, and the arena's table lists it. Does nothing on the CPU. Throws Error(out_of_memory).
void take_operator_scratch(const ModelSpec& spec, const Workspace& workspace, std::int64_t longest, bool training, Arena& arena,
                           const Stream& stream);

}  // namespace lora_dist

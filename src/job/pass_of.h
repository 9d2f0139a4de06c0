// A batch of the data as a pass of the model.
#pragma once

#include "src/data/batch.h"
#include "src/transformer/transformer.h"

namespace lora_dist {

/// A view of a batch as the model takes it.
Pass pass_of(const Batch& batch);

}  // namespace lora_dist

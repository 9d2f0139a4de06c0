// Hands the arrays of a batch to the model.
#include "src/job/pass_of.h"

namespace lora_dist {

Pass pass_of(const Batch& batch) { return {batch.ids, batch.targets, batch.positions, batch.samples, batch.starts}; }

}  // namespace lora_dist

// Counts the work of a step: floating point operations, bytes moved and bytes sent. Runs the training code dry over a planned
// rank, and sums the work of its operators and collectives.
#pragma once

#include <cstdint>
#include <span>

#include "src/comm/counting.h"
#include "src/plan/planned_rank.h"
#include "src/plan/step_shape.h"

namespace lora_dist {

/// The fetches of a window whose slots do not hold the data yet.
struct FetchWork {
  std::int64_t fetches = 0;
  std::int64_t bytes = 0;        // whole (of the TP shard)
  std::int64_t slice_bytes = 0;  // this rank's slices of them
};

/// One full micro-batch on one rank in the steady state, when the window's slots hold blocks and chunks of the previous walk (the
/// first walk of a run, or one after an evaluation, fetches slightly more). FLOP are as the operators state them: for products 2
/// per element of the output and element summed over; for attention 4 per key that a query sees, dimension and head forward, and
/// 10 backward. Norms, activations and other memory-bound operators state none.
struct MicroBatchWork {
  double forward_flops = 0.0;  // of the blocks
  double backward_flops = 0.0;
  double last_recompute_flops = 0.0;  // of the last block, if another micro-batch of the walk follows
  double head_flops = 0.0;            // both ways; logits are computed twice if chunks of the head are gathered
  double dequantized_bytes = 0.0;     // read and written by a window that dequantizes ahead, for all fetched blocks
  FetchWork blocks;
  FetchWork embedding;  // its chunks
  FetchWork head;       // its chunks
  std::int64_t head_chunks = 1;
  CollectiveCount tensor;                 // between the ranks that share the micro-batch
  std::int64_t last_recompute_bytes = 0;  // of those, as in last_recompute_flops
  std::int64_t rest_bytes = 0;            // of a micro-batch of step.rest() sequences
  CollectiveCount gradients;              // of the base's own matrices, once per walk
  std::int64_t changed_bytes = 0;         // slices that the first walk after an update fetches besides
};

/// Runs the rank dry. Its buffers must fit micro-batches of step.micro_batch sequences.
MicroBatchWork work_of_micro_batch(PlannedRank& rank, const StepShape& step);

/// Payload of a step's collectives, summed over the ranks, counted as in metrics.jsonl. `works`: of the TP ranks. Control data
/// (losses, agreement) stays 0: a few hundred bytes per rank.
WireBytes wire_of_step(const PlannedModel& model, const PlannedMesh& mesh, const StepShape& step,
                       std::span<const MicroBatchWork> works);

}  // namespace lora_dist

// What a step has to do, counted: floating point operations, bytes moved and bytes sent. The code that trains is run dry over a
// planned rank, and what its operators and collectives would have done is added up.
#pragma once

#include <cstdint>
#include <span>

#include "src/comm/counting.h"
#include "src/plan/planned_rank.h"
#include "src/plan/step_shape.h"

namespace lora_dist {

/// What a window does not have yet when its turn comes.
struct FetchWork {
  std::int64_t fetches = 0;
  std::int64_t bytes = 0;        // whole (of the TP shard)
  std::int64_t slice_bytes = 0;  // this rank's slices of these
};

/// One micro-batch of full size on one rank, in a walk that follows another one: the first walk of a run, and those after an
/// evaluation, find other blocks and chunks in the slots. FLOP are those that the operators state: of products 2 for each
/// element and element summed over, of attention 4 for each key that a query sees, dimension and head forward and 10 backward.
/// Norms, activations and what else runs along memory state none.
struct MicroBatchWork {
  double forward_flops = 0.0;  // of the blocks
  double backward_flops = 0.0;
  double last_recompute_flops = 0.0;  // of the last block, where another micro-batch of the walk comes after
  double head_flops = 0.0;            // both ways; logits are made twice where chunks of the head are gathered
  double dequantized_bytes = 0.0;     // read and written by a window that dequantizes ahead, of all blocks fetched
  FetchWork blocks;
  FetchWork embedding;  // chunks of it
  FetchWork head;       // likewise
  std::int64_t head_chunks = 1;
  CollectiveCount tensor;                 // between the ranks that share the micro-batch
  std::int64_t last_recompute_bytes = 0;  // of them, as last_recompute_flops
  std::int64_t rest_bytes = 0;            // of a micro-batch of step.rest() sequences
};

/// Runs the rank dry. Its buffers must be for micro-batches of step.micro_batch sequences at least.
MicroBatchWork work_of_micro_batch(PlannedRank& rank, const StepShape& step);

/// Payload handed to collectives in a step, summed over the ranks, as metrics.jsonl counts it. `works`: of the TP ranks. Control
/// (losses, agreement) is left at 0: some hundred bytes a rank.
WireBytes wire_of_step(const PlannedModel& model, const PlannedMesh& mesh, const StepShape& step,
                       std::span<const MicroBatchWork> works);

}  // namespace lora_dist

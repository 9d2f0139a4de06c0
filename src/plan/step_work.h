// What a step has to do, counted: micro-batches, floating point operations, bytes moved and bytes sent.
#pragma once

#include <algorithm>
#include <cstdint>

#include "src/comm/wire.h"
#include "src/plan/plan_options.h"
#include "src/plan/planned_rank.h"

namespace lora_dist {

/// Sequences are taken to be full, or of --tokens-per-sequence tokens; every token is trained but the first of each sample.
struct StepShape {
  std::int64_t sequences = 0;            // of the global batch
  std::int64_t micro_batch = 0;          // sequences of a micro-batch, at most
  std::int64_t sequence_tokens = 0;      // of each
  std::int64_t samples_of_sequence = 1;  // that share one
  std::int64_t sample_tokens = 0;        // of each sample: what attention sees
  std::int64_t micro_batches_in_flight = 1;

  std::int64_t passes() const { return (sequences + micro_batch - 1) / micro_batch; }
  /// Micro-batches of the data rank that has most.
  std::int64_t rounds(int data) const { return (passes() + data - 1) / data; }
  /// Of these, so many go through a block together, and fetch it once.
  std::int64_t in_flight(int data) const { return std::min(micro_batches_in_flight, rounds(data)); }
  /// How often the rank goes through the blocks.
  std::int64_t walks(int data) const { return (rounds(data) + in_flight(data) - 1) / in_flight(data); }
  /// Micro-batches of all data ranks whose last block is recomputed: all of a walk but the one that comes last.
  std::int64_t recomputed_last(int data) const;
  std::int64_t tokens() const { return sequences * sequence_tokens; }
  std::int64_t targets() const { return sequences * (sequence_tokens - samples_of_sequence); }
  /// Rows of all micro-batches where each is divided over so many ranks, which pads the last ones.
  std::int64_t divided_rows(int ranks) const;
};

/// Throws Error(usage, collective) for options that do not fit data.max_length.
StepShape step_shape(const Config& config, const PlanOptions& options);

/// What a window does not have yet when its turn comes.
struct FetchWork {
  std::int64_t fetches = 0;
  std::int64_t bytes = 0;        // whole (of the TP shard)
  std::int64_t slice_bytes = 0;  // this rank's slices of these
};

/// What the ranks that share a micro-batch exchange. Bytes: those that one of them hands over.
struct TensorWork {
  std::int64_t sums = 0;  // all_reduce
  std::int64_t summed_bytes = 0;
  std::int64_t scatters = 0;  // reduce_scatter: with sequence parallelism
  std::int64_t scattered_bytes = 0;
  std::int64_t gathers = 0;  // all_gather
  std::int64_t gathered_bytes = 0;

  std::int64_t bytes() const { return summed_bytes + scattered_bytes + gathered_bytes; }
};

/// One micro-batch of full size on one rank. FLOP: 2 for each weight and token forward, 2 for the gradient of the input (frozen
/// weights have none); recompute = block adds what a block's forward costs but its last product, of all blocks but the last.
/// Attention: 4 for each key that a query sees, dimension and head forward, 10 backward. Factors: 2 forward, 4 backward.
struct MicroBatchWork {
  double forward_flops = 0.0;  // of the blocks
  double backward_flops = 0.0;
  double last_recompute_flops = 0.0;  // of the last block, where another micro-batch of the walk comes after
  double head_flops = 0.0;            // both ways; logits are made twice where chunks of the head are gathered
  double dequantized_bytes =
      0;  // read and written, of all blocks fetched; 0 on CPUs, which are timed by what they are said to reach
  FetchWork blocks;
  FetchWork embedding;  // chunks of it
  FetchWork head;       // likewise
  std::int64_t head_chunks = 1;
  TensorWork tensor;
};
MicroBatchWork work_of_micro_batch(const PlannedModel& model, const PlanTarget& target, const PlannedRank& rank,
                                   const StepShape& step);

/// Payload handed to collectives in a step, summed over the ranks, as metrics.jsonl counts it. `slice_bytes`: of a micro-batch,
/// of all TP ranks together; `head_chunks`: MicroBatchWork's. Right for a step that follows another one: the first, and those
/// after an evaluation, find other blocks and chunks in the slots. Control (losses, agreement) is left at 0: some hundred bytes a
/// rank.
WireBytes wire_of_step(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, const StepShape& step,
                       std::int64_t slice_bytes, std::int64_t head_chunks);

}  // namespace lora_dist

// How a global batch is dealt: its micro-batches, and the walks through the blocks that a data rank makes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "src/plan/plan_options.h"

namespace lora_dist {

/// Sequences are taken to be full, or of --tokens-per-sequence tokens; every token is trained but the first of each sample.
struct StepShape {
  std::int64_t sequences = 0;            // of the global batch
  std::int64_t micro_batch = 0;          // sequences of a micro-batch, at most
  std::int64_t sequence_tokens = 0;      // of each
  std::int64_t samples_of_sequence = 1;  // that share one
  std::int64_t sample_tokens = 0;        // of each sample: what attention sees
  std::int64_t micro_batches_in_flight = 1;

  std::int64_t micro_batches() const { return full_micro_batches() + (rest() > 0 ? 1 : 0); }
  std::int64_t full_micro_batches() const { return sequences / micro_batch; }
  /// Sequences of the last micro-batch, where it has fewer.
  std::int64_t rest() const { return sequences % micro_batch; }
  /// Micro-batches of the data rank that has most.
  std::int64_t rounds(int data) const { return (micro_batches() + data - 1) / data; }
  /// Of these, so many go through a block together, and fetch it once.
  std::int64_t in_flight(int data) const { return std::min(micro_batches_in_flight, rounds(data)); }
  /// How often the rank goes through the blocks.
  std::int64_t walks(int data) const { return (rounds(data) + in_flight(data) - 1) / in_flight(data); }
  /// Micro-batches of all data ranks whose last block is recomputed: all of a walk but the one that comes last.
  std::int64_t recomputed_last(int data) const;
  std::int64_t tokens() const { return sequences * sequence_tokens; }
  std::int64_t targets() const { return sequences * (sequence_tokens - samples_of_sequence); }
};

/// Throws Error(usage, collective) for options that do not fit data.max_length.
StepShape step_shape(const Config& config, const PlanOptions& options);

}  // namespace lora_dist

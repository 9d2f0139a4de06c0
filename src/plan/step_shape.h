// Divides a global batch into micro-batches, and into a data rank's walks through the blocks.
#pragma once

#include <algorithm>
#include <cstdint>

#include "src/adapter/virtual_tokens.h"
#include "src/plan/plan_options.h"

namespace lora_dist {

/// Sequences are assumed full, or of --tokens-per-sequence tokens; each sample has one target less than tokens, unless virtual
/// tokens predict the first.
struct StepShape {
  std::int64_t sequences = 0;            // of the global batch
  std::int64_t micro_batch = 0;          // sequences per micro-batch, at most
  std::int64_t sequence_tokens = 0;      // per sequence
  std::int64_t samples_of_sequence = 1;  // per sequence
  std::int64_t sample_tokens = 0;        // per sample: the context of attention
  std::int64_t micro_batches_in_flight = 1;
  std::int64_t virtual_tokens = 0;  // before each sample, not among its tokens
  bool predicts_first = false;      // the last of them has a target

  /// Rows of a micro-batch: with the virtual tokens, for which a sequence has the room of one sample.
  std::int64_t sequence_rows() const { return sequence_tokens + virtual_tokens; }
  std::int64_t sample_rows() const { return sample_tokens + virtual_tokens; }
  std::int64_t micro_batches() const { return full_micro_batches() + (rest() > 0 ? 1 : 0); }
  std::int64_t full_micro_batches() const { return sequences / micro_batch; }
  /// Sequences of the last micro-batch if it is shorter, else 0.
  std::int64_t rest() const { return sequences % micro_batch; }
  /// Micro-batches of the data rank with the most.
  std::int64_t rounds(int data) const { return (micro_batches() + data - 1) / data; }
  /// Micro-batches of a rank that go through a block together, with one fetch.
  std::int64_t in_flight(int data) const { return std::min(micro_batches_in_flight, rounds(data)); }
  /// The number of times that the rank goes through the blocks.
  std::int64_t walks(int data) const { return (rounds(data) + in_flight(data) - 1) / in_flight(data); }
  /// Micro-batches of all data ranks whose last block is recomputed: all of a walk except the last one.
  std::int64_t recomputed_last(int data) const;
  std::int64_t tokens() const { return sequences * (sequence_rows() - samples_of_sequence * virtual_tokens); }
  std::int64_t targets() const { return tokens() - (predicts_first ? 0 : sequences * samples_of_sequence); }
};

/// Throws Error(usage, collective) for options that do not fit data.max_length.
StepShape step_shape(const Config& config, const PlanOptions& options, const VirtualTokens& virtual_tokens = {});

}  // namespace lora_dist

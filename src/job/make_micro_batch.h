// Turns samples into micro-batches of the model.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/adapter/virtual_tokens.h"
#include "src/data/packing.h"
#include "src/data/sample.h"
#include "src/transformer/micro_batch.h"

namespace lora_dist {

/// Concatenates the sequences' samples, each as a segment that begins with the virtual tokens. A token's target is the label of
/// the sample's next token; the last token of a sample has none.
MicroBatch make_micro_batch(std::span<const Sequence> sequences, std::span<const Sample> samples,
                            const VirtualTokens& virtual_tokens = {});

/// The targets of a sample in a micro-batch.
std::int64_t target_tokens(const Sample& sample, const VirtualTokens& virtual_tokens);

/// The number of micro-batches of `size` sequences; the last one may be shorter.
std::int64_t count_micro_batches(std::span<const Sequence> sequences, std::int64_t size);
/// The sequences of one micro-batch; empty past the last one.
std::span<const Sequence> sequences_of(std::span<const Sequence> sequences, std::int64_t micro_batch, std::int64_t size);

/// Deals micro-batches to data ranks in rounds, the same on every rank: rank i mod ranks computes micro-batch i.
struct Deal {
  std::int64_t micro_batches = 0;
  std::int64_t size = 1;       // sequences of a micro-batch
  std::int64_t in_flight = 1;  // micro-batches of a rank in a round
  int ranks = 1;

  std::int64_t of_round() const { return in_flight * ranks; }
  std::int64_t rounds() const { return (micro_batches + of_round() - 1) / of_round(); }
};
/// The sequences of each micro-batch of `rank` in a round: in_flight micro-batches, fewer or none at the end.
std::vector<std::span<const Sequence>> sequences_of_round(const Deal& deal, std::span<const Sequence> sequences, int rank,
                                                          std::int64_t round);
/// Their micro-batches; if there are none, one without tokens, so that the rank joins the others' gathers.
std::vector<MicroBatch> make_micro_batches(std::span<const std::span<const Sequence>> dealt, std::span<const Sample> samples,
                                           const VirtualTokens& virtual_tokens = {});

}  // namespace lora_dist

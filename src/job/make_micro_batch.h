// Samples of the data as micro-batches of the model.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/data/packing.h"
#include "src/data/sample.h"
#include "src/transformer/micro_batch.h"

namespace lora_dist {

/// The sequences' samples one after another, each a segment. A target is the label of the sample's next token; its last token has
/// none.
MicroBatch make_micro_batch(std::span<const Sequence> sequences, std::span<const Sample> samples);

/// How many micro-batches of `size` sequences there are; the last one may be shorter.
std::int64_t count_micro_batches(std::span<const Sequence> sequences, std::int64_t size);
/// The sequences of one of them; none past the last one.
std::span<const Sequence> sequences_of(std::span<const Sequence> sequences, std::int64_t micro_batch, std::int64_t size);

/// Micro-batches dealt to data ranks in rounds, the same on every rank: micro-batch i belongs to rank i mod ranks.
struct Deal {
  std::int64_t micro_batches = 0;
  std::int64_t size = 1;       // sequences of each
  std::int64_t in_flight = 1;  // of a rank in each round
  int ranks = 1;

  std::int64_t of_round() const { return in_flight * ranks; }
  std::int64_t rounds() const { return (micro_batches + of_round() - 1) / of_round(); }
};
/// The sequences of each micro-batch of `rank` in a round: in_flight of them, fewer or none at the end.
std::vector<std::span<const Sequence>> sequences_of_round(const Deal& deal, std::span<const Sequence> sequences, int rank,
                                                          std::int64_t round);
/// These as micro-batches; one without tokens where there are none, with which the rank serves the others' gathers.
std::vector<MicroBatch> make_micro_batches(std::span<const std::span<const Sequence>> dealt, std::span<const Sample> samples);

}  // namespace lora_dist

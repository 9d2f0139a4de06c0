// A base whose weights are trained: each data rank keeps its slice of them, of the gradient's sums and of the moments (stage 3 of
// Rajbhandari et al. 2020, arXiv:1910.02054). The weight windows gather the values as they gather frozen ones.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/adamw/adamw.h"
#include "kernels/common/stream.h"
#include "src/base/frozen_base.h"
#include "src/comm/communicator.h"
#include "src/core/arena.h"

namespace lora_dist {

/// The matrices that are trained. Vectors are trained whole on every rank (src/adapter/trained_vector.h).
struct TrainedMatrices {
  std::vector<std::array<bool, kLinears>> linears;  // per layer
  bool embedding = false;                           // with a tied head
  bool head = false;                                // false if tied

  bool any_in(std::size_t layer) const {
    const std::array<bool, kLinears>& block = linears[layer];
    return std::find(block.begin(), block.end(), true) != block.end();
  }
};

/// Trained elements in this rank's slice of a block or of a chunk of a table.
struct TrainedRange {
  Linear linear = Linear::q;   // of a block; of no meaning for a chunk
  std::int64_t in_slice = 0;   // the first of them in the slice
  std::int64_t in_matrix = 0;  // and in the TP rank's part of the weight [out, in], or in the chunk [rows, hidden]
  std::int64_t offset = 0;     // and in the flat buffers
  std::int64_t count = 0;
};

/// A block or a chunk: what the ranks gather and reduce at once.
struct TrainedUnit {
  bool trained = false;              // anything of it, on any rank
  std::int64_t slice = 0;            // elements of each rank's slice, padding included
  std::span<float> values = {};      // this rank's slice
  std::span<std::byte> held = {};    // the same in the base's dtype, which windows gather: `values` if that is f32
  std::vector<TrainedRange> ranges;  // may be empty: the slice holds nothing trained
};

struct TrainedBase {
  TrainedMatrices matrices;
  std::vector<TrainedUnit> blocks;     // per layer
  std::vector<TrainedUnit> embedding;  // per chunk
  std::vector<TrainedUnit> head;       // per chunk; those of the embedding if tied
  bool tied = false;
  DType dtype = DType::f32;      // of `held`
  std::int64_t count = 0;        // elements of this rank's flat buffers
  std::span<std::int64_t> sums;  // of the step's gradients, in fixed point
  std::span<float> m;
  std::span<float> v;
  std::span<std::int64_t> unit_sums;  // a unit's gradients of all ranks' slices, of the micro-batches in flight
  std::span<float> gradient;          // room for that of one weight or chunk
  Communicator* shards = nullptr;     // the ranks that divide the base, over the operators' memory

  /// The units of the head's chunks.
  const std::vector<TrainedUnit>& units_of_head() const { return tied ? embedding : head; }
};

/// `values`: the base in f32, which has base's layout in elements: `base` itself if it is f32. `shard`: this rank among the data
/// ranks that divide the base. Takes zeroed buffers.
TrainedBase make_trained_base(const FrozenBase& base, const FrozenBase& values, const TrainedMatrices& matrices, int shard,
                              Arena& arena);

/// A base of 16 bits with the values of `values`, element by element in the same places.
FrozenBase round_base(const FrozenBase& values, DType dtype, Arena& arena, const Stream& stream);

/// The gradient of a weight in a unit's sums, of all ranks' slices: i64 [elements] from element `first` of the unit on.
TensorView unit_gradient(const TrainedBase& base, std::int64_t first, std::int64_t elements);
/// The first element of a linear's weight in its block.
std::int64_t first_element(const WeightLayout& weight);

/// Zeros the sums of a unit.
void begin_unit(const TrainedBase& base, const TrainedUnit& unit, const Stream& stream);
/// Sums them over the ranks, and adds this rank's slice to the step's sums. Collective.
void end_unit(const TrainedBase& base, const TrainedUnit& unit, const Stream& stream);

/// Updates this rank's slices with the step's sums, times `clip` if that is below 1.
void update_trained_base(const TrainedBase& base, double clip, const AdamWStep& step, const Stream& stream);

/// All units once.
std::vector<const TrainedUnit*> all_units(const TrainedBase& base);

}  // namespace lora_dist

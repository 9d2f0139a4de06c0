// Embedding and head: tables of the vocabulary, in chunks of rows. Where data ranks divide the base, each chunk is divided like
// a block, and gathered when its turn comes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"
#include "src/base/index_range.h"

namespace lora_dist {

/// Elements of a chunk, about (chunks begin at round numbers of rows): enough rows to keep a product busy. On GPUs more, where
/// adding a chunk's gradient to the sum costs about what a product with a few hundred columns does.
constexpr std::int64_t chunk_elements(Backend backend) { return std::int64_t{1} << (backend == Backend::cuda ? 25 : 22); }

/// A TP rank's rows of a table, and this rank's slices of them. Chunks depend on no number of data ranks, so that sums over
/// chunks have the same bits on all of them; every TP rank has as many.
struct VocabTable {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  DType dtype = DType::f32;
  std::int64_t chunks = 1;
  int shards = 1;                            // data ranks that divide each chunk
  bool of_node = false;                      // in memory that they share: the slices of a chunk lie end to end
  std::vector<std::span<std::byte>> slices;  // per chunk; undivided chunks lie end to end

  bool gathers() const { return shards > 1 && !of_node; }
  IndexRange chunk(std::int64_t i) const;          // its rows
  std::int64_t most_rows() const;                  // of a chunk
  std::int64_t slice_bytes(std::int64_t i) const;  // of a chunk on each rank; padded to a multiple of 64 where they divide it
  std::int64_t largest_window() const;             // bytes of the largest gathered chunk, padding included
  IndexRange slice_elements(std::int64_t i, int shard) const;  // of the chunk's elements, those that a rank holds
  /// A chunk whose first byte lies there: [rows, cols].
  ConstTensorView view_of(std::int64_t i, const std::byte* first) const;
  /// A chunk that is not gathered.
  ConstTensorView in_place(std::int64_t i, int shard) const;
  /// [rows, cols] of a table that nobody divides. Throws KernelError for others.
  ConstTensorView whole() const;
};

/// Bytes of this rank's slices of all chunks.
std::int64_t held_bytes(const VocabTable& table);
/// Puts them end to end in so many bytes.
void place_slices(VocabTable& table, std::span<std::byte> memory);

/// Without memory. `widest`: rows of the TP rank that has most.
VocabTable lay_out_table(std::int64_t rows, std::int64_t cols, DType dtype, std::int64_t widest, std::int64_t chunk_elements);

}  // namespace lora_dist

// Embedding and head: vocabulary tables in chunks of rows. If data ranks divide the base, each chunk is divided like a block and
// gathered before use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"
#include "src/base/index_range.h"

namespace lora_dist {

/// The approximate number of elements of a chunk (chunks begin at round numbers of rows): large enough for efficient products.
/// Larger on GPUs, where accumulating a chunk's gradient costs as much as a product with a few hundred columns.
constexpr std::int64_t chunk_elements(Backend backend) { return std::int64_t{1} << (backend == Backend::cuda ? 25 : 22); }

/// A TP rank's rows of a table, and this rank's slices of them. Chunks do not depend on the number of data ranks, so sums over
/// chunks have the same bits for any number; all TP ranks have the same number of chunks.
struct VocabTable {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  DType dtype = DType::f32;
  std::int64_t chunks = 1;
  int shards = 1;                            // data ranks that divide each chunk
  bool of_node = false;                      // in shared memory: the slices of a chunk are contiguous
  int narrowing = 1;                         // 2: a copy in 16 bits, whose slices hold the elements of the f32 table's
  std::vector<std::span<std::byte>> slices;  // per chunk; undivided chunks are contiguous

  bool gathers() const { return shards > 1 && !of_node; }
  IndexRange chunk(std::int64_t i) const;                      // its rows
  std::int64_t most_rows() const;                              // of the largest chunk
  std::int64_t slice_bytes(std::int64_t i) const;              // of a chunk on each rank; padded to a multiple of 64 if divided
  std::int64_t largest_window() const;                         // bytes of the largest gathered chunk, padding included
  IndexRange slice_elements(std::int64_t i, int shard) const;  // the chunk's elements that a rank holds
  /// A view of a chunk at that address: [rows, cols].
  ConstTensorView view_of(std::int64_t i, const std::byte* first) const;
  /// A chunk that needs no gather.
  ConstTensorView in_place(std::int64_t i, int shard) const;
  /// The whole table [rows, cols]. Throws KernelError if data ranks divide it.
  ConstTensorView whole() const;
};

/// Bytes of this rank's slices of all chunks.
std::int64_t held_bytes(const VocabTable& table);
/// Lays the slices out contiguously in that many bytes.
void place_slices(VocabTable& table, std::span<std::byte> memory);

/// A table without memory. `widest`: rows of the largest vocabulary shard.
VocabTable lay_out_table(std::int64_t rows, std::int64_t cols, DType dtype, std::int64_t widest, std::int64_t chunk_elements);

}  // namespace lora_dist

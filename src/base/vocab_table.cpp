// Divides tables into chunks, and chunks into slices.
#include "src/base/vocab_table.h"

#include <algorithm>

#include "src/base/block_layout.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kRowAlign =
    128;  // undivided chunks and their logits then begin at multiples of 256 bytes, the largest alignment that cuBLASLt considers

}  // namespace

VocabTable lay_out_table(std::int64_t rows, std::int64_t cols, DType dtype, std::int64_t widest, std::int64_t chunk_elements) {
  VocabTable table{.rows = rows, .cols = cols, .dtype = dtype, .slices = {}};
  const std::int64_t narrowest = widest - 1;  // shards differ by one row; no chunk of any rank may be empty
  table.chunks = std::clamp<std::int64_t>(narrowest / kRowAlign, 1, divide_up(widest * cols, chunk_elements));
  return table;
}

std::int64_t held_bytes(const VocabTable& table) {
  std::int64_t bytes = 0;
  for (std::int64_t i = 0; i < table.chunks; ++i) {
    bytes += table.slice_bytes(i);
  }
  return bytes;
}

void place_slices(VocabTable& table, std::span<std::byte> memory) {
  for (std::int64_t i = 0; i < table.chunks; ++i) {
    table.slices.push_back(memory.first(static_cast<std::size_t>(table.slice_bytes(i))));
    memory = memory.subspan(table.slices.back().size());
  }
}

IndexRange VocabTable::chunk(std::int64_t i) const {
  const auto cut = [&](std::int64_t at) { return at == chunks ? rows : rows * at / chunks / kRowAlign * kRowAlign; };
  return {cut(i), cut(i + 1)};
}

std::int64_t VocabTable::most_rows() const {
  std::int64_t most = 0;
  for (std::int64_t i = 0; i < chunks; ++i) {
    most = std::max(most, chunk(i).size());
  }
  return most;
}

std::int64_t VocabTable::slice_bytes(std::int64_t i) const {
  const std::int64_t bytes = chunk(i).size() * cols * static_cast<std::int64_t>(size_of(dtype));
  return shards == 1 ? bytes : slice_bytes_of(bytes * narrowing, shards) / narrowing;
}

std::int64_t VocabTable::largest_window() const {
  std::int64_t largest = 0;
  for (std::int64_t i = 0; i < chunks; ++i) {
    largest = std::max(largest, slice_bytes(i) * shards);
  }
  return largest;
}

IndexRange VocabTable::slice_elements(std::int64_t i, int shard) const {
  const std::int64_t each = slice_bytes(i) / static_cast<std::int64_t>(size_of(dtype));
  return overlap({each * shard, each * (shard + 1)}, {0, chunk(i).size() * cols});
}

ConstTensorView VocabTable::view_of(std::int64_t i, const std::byte* first) const {
  return {first, dtype, {chunk(i).size(), cols}};
}

ConstTensorView VocabTable::in_place(std::int64_t i, int shard) const {
  require(!gathers(), "a chunk that ranks divide lies nowhere whole");
  const std::span<std::byte> slice = slices[static_cast<std::size_t>(i)];
  return view_of(i, of_node ? slice.data() - static_cast<std::size_t>(shard) * slice.size() : slice.data());
}

ConstTensorView VocabTable::whole() const {
  require(shards == 1, "this table is divided");
  return {slices[0].data(), dtype, {rows, cols}};
}

}  // namespace lora_dist

// Lays out a block's weights in a flat buffer and divides it into slices.
#include "src/base/block_layout.h"

#include <algorithm>
#include <cstring>

#include "kernels/quantize/quantization_blocks.h"
#include "kernels/quantize/quantize_absmax.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kAlign = 64;

std::int64_t round_up(std::int64_t value, std::int64_t to) { return divide_up(value, to) * to; }

}  // namespace

std::int64_t slice_bytes_of(std::int64_t bytes, int slices) { return round_up(divide_up(bytes, slices), kAlign); }

BlockLayout make_block_layout(const std::array<WeightKind, kLinears>& kinds, int slices) {
  BlockLayout layout;
  std::int64_t at = 0;
  const auto append = [&at](std::int64_t bytes) {
    const std::int64_t offset = at;
    at += round_up(bytes, kAlign);
    return offset;
  };
  for (std::size_t i = 0; i < kLinears; ++i) {
    const WeightKind& kind = kinds[i];
    const std::int64_t elements = kind.shape.out * kind.shape.in;
    WeightLayout& weight = layout.weights[i];
    weight.format = kind.format;
    weight.dtype = kind.dtype;
    weight.rows = kind.shape.out;
    weight.cols = kind.shape.in;
    weight.in_whole = kind.in_whole;
    weight.whole_elements = kind.whole.out * kind.whole.in;
    weight.whole_cols = kind.whole.in;
    if (kind.format.quantization == Quantization::none) {
      weight.codes_bytes = elements * static_cast<std::int64_t>(size_of(kind.dtype));
    } else if (elements > 0) {
      const std::int64_t scales = weight.in_whole.rows * scales_per_row(weight.in_whole, weight.scale_elements());
      weight.codes_bytes = kind.format.code_bytes(elements);
      weight.absmax_bytes = kind.format.nested() ? scales : scales * 4;
      weight.nested_bytes = kind.format.nested() ? divide_up(weight.whole_scales(), kNestedBlock) * 4 : 0;
    }
    weight.codes_offset = append(weight.codes_bytes);
    weight.absmax_offset = append(weight.absmax_bytes);
    weight.nested_offset = append(weight.nested_bytes);
  }
  layout.bytes = at;
  layout.slice_bytes = slice_bytes_of(at, slices);
  return layout;
}

IndexRange slice_of(const BlockLayout& layout, int rank) { return {rank * layout.slice_bytes, (rank + 1) * layout.slice_bytes}; }

IndexRange held_of(const BlockLayout& layout, std::int64_t offset, std::int64_t bytes, int rank) {
  const IndexRange held = overlap(slice_of(layout, rank), {offset, offset + bytes});
  return held.size() == 0 ? IndexRange{} : IndexRange{held.begin - offset, held.end - offset};
}

IndexRange codes_of(const BlockLayout& layout, const WeightLayout& weight, int rank) {
  return held_of(layout, weight.codes_offset, weight.codes_bytes, rank);
}

IndexRange elements_of(const BlockLayout& layout, const WeightLayout& weight, int rank) {
  const IndexRange codes = codes_of(layout, weight, rank);
  if (weight.format.quantization == Quantization::none) {
    const auto width = static_cast<std::int64_t>(size_of(weight.dtype));
    return {codes.begin / width, codes.end / width};  // slices begin at multiples of 64 bytes
  }
  const std::int64_t per_byte = weight.format.is_four_bit() ? 2 : 1;
  return {codes.begin * per_byte, std::min(codes.end * per_byte, weight.rows * weight.cols)};
}

void keep_section(std::span<const std::byte> source, std::int64_t offset, IndexRange slice, std::span<std::byte> kept) {
  const IndexRange held = overlap(slice, {offset, offset + static_cast<std::int64_t>(source.size())});
  if (held.size() > 0) {
    std::memcpy(kept.data() + (held.begin - slice.begin), source.data() + (held.begin - offset),
                static_cast<std::size_t>(held.size()));
  }
}

}  // namespace lora_dist

// Walks the TP shard of a weight by segments that are contiguous in the whole weight.
#include "src/base/weight_shard.h"

#include <algorithm>
#include <cstring>

#include "kernels/quantize/quantization_blocks.h"
#include "src/base/quantized_weight.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kReadElements = std::int64_t{1} << 20;  // read and quantized at a time

/// The shard's segment from `begin`, at most to `end`. Segments longer than one read end at a block boundary.
SliceSegment segment_to_read(const WeightLayout& weight, std::int64_t begin, std::int64_t end) {
  SliceSegment segment = segment_at(weight.in_whole, begin, end);
  const std::int64_t most = std::max(kReadElements / weight.scale_elements(), std::int64_t{1}) * weight.scale_elements();
  segment.count = std::min(segment.count, most - segment.in_whole % weight.scale_elements());
  return segment;
}

/// Copies four-bit codes from element `first` on to element `to`. The other half of the last byte is written later, or is
/// padding.
void copy_nibbles(const std::byte* from, std::int64_t first, std::byte* to, std::int64_t at, std::int64_t count) {
  if (first % 2 == 0 && at % 2 == 0) {
    std::memcpy(to + at / 2, from + first / 2, static_cast<std::size_t>((count + 1) / 2));
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    const std::byte pair = from[(first + i) / 2];
    const std::byte code = (first + i) % 2 == 0 ? pair >> 4 : pair & std::byte{15};
    std::byte& byte = to[(at + i) / 2];
    byte = (at + i) % 2 == 0 ? code << 4 : (byte & std::byte{0xF0}) | code;
  }
}

void copy_codes(const BaseFormat& format, const std::byte* from, std::int64_t first, const KeptCodes& kept, std::int64_t in_part,
                std::int64_t count) {
  const std::int64_t at = in_part - kept.elements.begin;
  if (format.is_four_bit()) {
    copy_nibbles(from, first, kept.bytes.data(), at, count);
  } else {
    std::memcpy(kept.bytes.data() + at, from + first, static_cast<std::size_t>(count));
  }
}

/// The blocks of several segments, quantized together.
struct ReadBlocks {
  struct Piece {
    SliceSegment segment;
    IndexRange blocks;       // of the whole weight that it overlaps
    std::int64_t value = 0;  // offset of its first block in `values`
    std::int64_t scale = 0;  // and of its scale in `absmax`
  };
  std::vector<Piece> pieces;
  std::vector<float> values;
  std::vector<std::byte> raw;
  std::vector<std::byte> codes;
  std::vector<float> absmax;
  std::int64_t scales = 0;

  void add(const WeightSource& source, const WeightLayout& weight, const SliceSegment& segment, const Stream& stream) {
    const std::int64_t block_size = weight.scale_elements();
    const IndexRange blocks{segment.in_whole / block_size, divide_up(segment.in_whole + segment.count, block_size)};
    const std::int64_t begin = blocks.begin * block_size;
    const std::int64_t end = std::min(blocks.end * block_size, weight.whole_elements);
    pieces.push_back({segment, blocks, static_cast<std::int64_t>(values.size()), scales});
    values.resize(values.size() + static_cast<std::size_t>(end - begin));
    read_as_f32(source, begin, std::span(values).last(static_cast<std::size_t>(end - begin)), raw, stream);
    scales += blocks.size();
  }

  void quantize(const WeightLayout& weight, const KeptCodes& kept, std::span<float> whole_absmax, const Stream& stream) {
    const std::int64_t block_size = weight.scale_elements();
    codes.resize(static_cast<std::size_t>(weight.format.code_bytes(static_cast<std::int64_t>(values.size()))));
    absmax.resize(static_cast<std::size_t>(scales));
    quantize_blocks(values, weight.whole_cols, weight.format, codes, absmax, stream);
    for (const Piece& piece : pieces) {
      const std::int64_t first = piece.value + piece.segment.in_whole - piece.blocks.begin * block_size;
      copy_codes(weight.format, codes.data(), first, kept, piece.segment.in_part, piece.segment.count);
      std::copy_n(absmax.begin() + piece.scale, piece.blocks.size(), whole_absmax.begin() + piece.blocks.begin);
    }
    pieces.clear();
    values.clear();
    scales = 0;
  }
};

}  // namespace

void quantize_kept(const WeightSource& source, const WeightLayout& weight, const KeptCodes& kept, std::span<float> absmax,
                   const Stream& stream) {
  ReadBlocks read;
  for (std::int64_t at = kept.elements.begin; at < kept.elements.end;) {
    const SliceSegment segment = segment_to_read(weight, at, kept.elements.end);
    read.add(source, weight, segment, stream);
    at += segment.count;
    const bool at_short_block =
        segment.in_whole + segment.count > weight.whole_elements / weight.scale_elements() * weight.scale_elements();
    const bool enough = static_cast<std::int64_t>(read.values.size()) >= kReadElements;
    if (enough || at_short_block || at == kept.elements.end) {  // only a call's last block may be short
      read.quantize(weight, kept, absmax, stream);
    }
  }
}

void read_kept(const WeightSource& source, const WeightLayout& weight, const KeptCodes& kept, const Stream& stream) {
  const auto width = static_cast<std::int64_t>(size_of(weight.dtype));
  std::vector<std::byte> raw;
  for (std::int64_t at = kept.elements.begin; at < kept.elements.end;) {
    const SliceSegment segment = segment_to_read(weight, at, kept.elements.end);
    const auto to = static_cast<std::size_t>((at - kept.elements.begin) * width);
    const std::span<std::byte> bytes = kept.bytes.subspan(to, static_cast<std::size_t>(segment.count * width));
    if (source.tensor->dtype == weight.dtype) {
      read_as_is(source, segment.in_whole * width, bytes);
    } else {
      auto* values = reinterpret_cast<float*>(bytes.data());  // sections and elements are aligned
      read_as_f32(source, segment.in_whole, {values, static_cast<std::size_t>(segment.count)}, raw, stream);
    }
    at += segment.count;
  }
}

void read_kept_codes(const TensorInfo& codes, const WeightLayout& weight, const KeptCodes& kept) {
  const std::int64_t per_byte = weight.format.is_four_bit() ? 2 : 1;
  std::vector<std::byte> bytes;
  for (std::int64_t at = kept.elements.begin; at < kept.elements.end;) {
    const SliceSegment segment = segment_to_read(weight, at, kept.elements.end);
    const std::int64_t begin = segment.in_whole / per_byte;
    bytes.resize(static_cast<std::size_t>(divide_up(segment.in_whole + segment.count, per_byte) - begin));
    read_tensor_bytes(codes, static_cast<std::uint64_t>(begin), bytes);
    copy_codes(weight.format, bytes.data(), segment.in_whole - begin * per_byte, kept, at, segment.count);
    at += segment.count;
  }
}

std::vector<std::byte> scales_of_part(std::span<const std::byte> whole, std::int64_t width, const WeightLayout& weight) {
  std::vector<std::byte> part(static_cast<std::size_t>(weight.scales() * width));
  const std::int64_t last =
      weight.whole_scales() - 1;  // rows that overlap fewer blocks than others have padding that is never read
  for (std::int64_t s = 0; s < weight.scales(); ++s) {
    const std::int64_t block = std::min(block_of_scale(weight.in_whole, weight.scale_elements(), s), last);
    std::memcpy(part.data() + s * width, whole.data() + block * width, static_cast<std::size_t>(width));
  }
  return part;
}

}  // namespace lora_dist

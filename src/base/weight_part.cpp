// Goes through a part of a weight by stretches that lie together in the whole.
#include "src/base/weight_part.h"

#include <algorithm>
#include <cstring>

#include "kernels/quantize/quantization_blocks.h"
#include "src/base/quantized_weight.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kReadElements = std::int64_t{1} << 20;  // read and quantized at a time

/// The stretch of the part that begins at `begin`, at most up to `end`. One that goes on longer than is read at a time ends with
/// a block.
RunStretch stretch_to_read(const WeightLayout& weight, std::int64_t begin, std::int64_t end) {
  RunStretch stretch = stretch_at(weight.runs, begin, end);
  const std::int64_t most = std::max(kReadElements / weight.scale_elements(), std::int64_t{1}) * weight.scale_elements();
  stretch.count = std::min(stretch.count, most - stretch.in_whole % weight.scale_elements());
  return stretch;
}

/// Four-bit codes from element `first` on to element `to` of other ones. What shares the last byte is written later, or padding.
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

/// Blocks of several stretches, one after the other, as they are quantized at a time.
struct ReadBlocks {
  struct Piece {
    RunStretch stretch;
    IndexRange blocks;       // of the whole that it touches
    std::int64_t value = 0;  // where its first block begins in `values`
    std::int64_t scale = 0;  // and in `absmax`
  };
  std::vector<Piece> pieces;
  std::vector<float> values;
  std::vector<std::byte> raw;
  std::vector<std::byte> codes;
  std::vector<float> absmax;
  std::int64_t scales = 0;

  void add(const WeightSource& source, const WeightLayout& weight, const RunStretch& stretch, const Stream& stream) {
    const std::int64_t block_size = weight.scale_elements();
    const IndexRange blocks{stretch.in_whole / block_size, divide_up(stretch.in_whole + stretch.count, block_size)};
    const std::int64_t begin = blocks.begin * block_size;
    const std::int64_t end = std::min(blocks.end * block_size, weight.whole_elements);
    pieces.push_back({stretch, blocks, static_cast<std::int64_t>(values.size()), scales});
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
      const std::int64_t first = piece.value + piece.stretch.in_whole - piece.blocks.begin * block_size;
      copy_codes(weight.format, codes.data(), first, kept, piece.stretch.in_part, piece.stretch.count);
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
    const RunStretch stretch = stretch_to_read(weight, at, kept.elements.end);
    read.add(source, weight, stretch, stream);
    at += stretch.count;
    const bool at_short_block =
        stretch.in_whole + stretch.count > weight.whole_elements / weight.scale_elements() * weight.scale_elements();
    const bool enough = static_cast<std::int64_t>(read.values.size()) >= kReadElements;
    if (enough || at_short_block || at == kept.elements.end) {  // only the last block of a call may be short
      read.quantize(weight, kept, absmax, stream);
    }
  }
}

void read_kept(const WeightSource& source, const WeightLayout& weight, const KeptCodes& kept) {
  const auto width = static_cast<std::int64_t>(size_of(weight.dtype));
  for (std::int64_t at = kept.elements.begin; at < kept.elements.end;) {
    const RunStretch stretch = stretch_to_read(weight, at, kept.elements.end);
    const auto to = static_cast<std::size_t>((at - kept.elements.begin) * width);
    read_as_is(source, stretch.in_whole * width, kept.bytes.subspan(to, static_cast<std::size_t>(stretch.count * width)));
    at += stretch.count;
  }
}

void read_kept_codes(const TensorInfo& codes, const WeightLayout& weight, const KeptCodes& kept) {
  const std::int64_t per_byte = weight.format.is_four_bit() ? 2 : 1;
  std::vector<std::byte> bytes;
  for (std::int64_t at = kept.elements.begin; at < kept.elements.end;) {
    const RunStretch stretch = stretch_to_read(weight, at, kept.elements.end);
    const std::int64_t begin = stretch.in_whole / per_byte;
    bytes.resize(static_cast<std::size_t>(divide_up(stretch.in_whole + stretch.count, per_byte) - begin));
    read_tensor_bytes(codes, static_cast<std::uint64_t>(begin), bytes);
    copy_codes(weight.format, bytes.data(), stretch.in_whole - begin * per_byte, kept, at, stretch.count);
    at += stretch.count;
  }
}

std::vector<std::byte> scales_of_part(std::span<const std::byte> whole, std::int64_t width, const WeightLayout& weight) {
  std::vector<std::byte> part(static_cast<std::size_t>(weight.scales() * width));
  const std::int64_t last = weight.whole_scales() - 1;  // a run with less to touch than others has room that is never read
  for (std::int64_t s = 0; s < weight.scales(); ++s) {
    const std::int64_t block = std::min(block_of_scale(weight.runs, weight.scale_elements(), s), last);
    std::memcpy(part.data() + s * width, whole.data() + block * width, static_cast<std::size_t>(width));
  }
  return part;
}

}  // namespace lora_dist

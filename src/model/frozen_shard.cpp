// Reads the base matrix by matrix, quantizes it, and keeps the part that belongs to this rank.
#include "src/model/frozen_shard.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cast/cast.h"
#include "kernels/common/device.h"
#include "kernels/copy/copy.h"
#include "kernels/nf4/nf4.h"
#include "src/comm/agree.h"
#include "src/model/finite_weights.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kAlign = 64;
constexpr std::int64_t kReadElements = std::int64_t{1} << 20;  // read and quantized at a time

std::int64_t round_up(std::int64_t value, std::int64_t to) { return (value + to - 1) / to * to; }
std::int64_t divide_up(std::int64_t value, std::int64_t by) { return (value + by - 1) / by; }

/// A half-open range of bytes or of quantization blocks.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;
  std::int64_t size() const { return end > begin ? end - begin : 0; }
};

Range overlap(Range a, Range b) { return {std::max(a.begin, b.begin), std::min(a.end, b.end)}; }

/// The bytes of a block's layout that part `rank` holds.
Range part_of(const BlockLayout& layout, int rank) { return {rank * layout.part_bytes, (rank + 1) * layout.part_bytes}; }

/// The code bytes of a weight that part `rank` holds, counted from the weight's first.
Range codes_of(const BlockLayout& layout, const WeightLayout& weight, int rank) {
  const Range held = overlap(part_of(layout, rank), {weight.codes_offset, weight.codes_offset + weight.codes_bytes});
  return held.size() == 0 ? Range{} : Range{held.begin - weight.codes_offset, held.end - weight.codes_offset};
}

/// The quantization blocks whose absmax rank `rank` computes for everybody: those whose first code byte it holds.
Range owned_blocks(const BlockLayout& layout, const WeightLayout& weight, std::int64_t block_size, int rank) {
  const Range codes = codes_of(layout, weight, rank);
  const std::int64_t bytes_per_block = block_size / 2;
  return {divide_up(codes.begin, bytes_per_block), divide_up(codes.end, bytes_per_block)};
}

/// Copies that part of `source` (a section of the block that begins at byte `offset`) which this rank holds.
void keep_section(std::span<const std::byte> source, std::int64_t offset, Range part, std::span<std::byte> kept) {
  const Range held = overlap(part, {offset, offset + static_cast<std::int64_t>(source.size())});
  if (held.size() > 0) {
    std::memcpy(kept.data() + (held.begin - part.begin), source.data() + (held.begin - offset),
                static_cast<std::size_t>(held.size()));
  }
}

/// Elements [begin, end) of a tensor as f32.
void read_as_f32(const TensorInfo& tensor, std::int64_t begin, std::span<float> out, std::vector<std::byte>& raw,
                 const Stream& stream) {
  const auto width = static_cast<std::int64_t>(size_of(tensor.dtype));
  if (tensor.dtype == DType::f32) {
    read_tensor_bytes(tensor, static_cast<std::uint64_t>(begin * width), std::as_writable_bytes(out));
    check_finite(tensor, std::as_bytes(out));
    return;
  }
  raw.resize(out.size() * static_cast<std::size_t>(width));
  read_tensor_bytes(tensor, static_cast<std::uint64_t>(begin * width), raw);
  check_finite(tensor, raw);
  const Shape shape{static_cast<std::int64_t>(out.size())};
  cast({raw.data(), tensor.dtype, shape}, view(out.data(), shape), stream);
}

/// Quantizes the blocks of one weight that this rank's code bytes touch, keeps those bytes, and returns the absmax of the blocks
/// it owns.
std::vector<float> quantize_part(const TensorInfo& tensor, const WeightLayout& weight, const BlockLayout& layout,
                                 std::int64_t block_size, int rank, std::span<std::byte> kept, const Stream& stream) {
  const Range codes = codes_of(layout, weight, rank);
  const Range owned = owned_blocks(layout, weight, block_size, rank);
  std::vector<float> absmax(static_cast<std::size_t>(owned.size()));
  const std::int64_t bytes_per_block = block_size / 2;
  const std::int64_t elements = weight.rows * weight.cols;
  const std::int64_t step = std::max<std::int64_t>(1, kReadElements / block_size);
  const Range touched{codes.begin / bytes_per_block, divide_up(codes.end, bytes_per_block)};
  std::vector<std::byte> raw;
  std::vector<float> values;
  std::vector<std::uint8_t> chunk_codes;
  std::vector<float> chunk_absmax;
  for (std::int64_t first = touched.begin; first < touched.end && codes.size() > 0; first += step) {
    const Range blocks{first, std::min(first + step, touched.end)};
    const Range range{blocks.begin * block_size, std::min(blocks.end * block_size, elements)};
    values.resize(static_cast<std::size_t>(range.size()));
    chunk_codes.resize(static_cast<std::size_t>(divide_up(range.size(), 2)));
    chunk_absmax.resize(static_cast<std::size_t>(blocks.size()));
    read_as_f32(tensor, range.begin, values, raw, stream);
    nf4_quantize(view(values.data(), {range.size()}), block_size, view(chunk_codes.data(), {divide_up(range.size(), 2)}),
                 view(chunk_absmax.data(), {blocks.size()}), stream);
    keep_section(std::as_bytes(std::span(chunk_codes)), weight.codes_offset + blocks.begin * bytes_per_block,
                 part_of(layout, rank), kept);
    const Range mine = overlap(blocks, owned);
    for (std::int64_t b = mine.begin; b < mine.end; ++b) {
      absmax[static_cast<std::size_t>(b - owned.begin)] = chunk_absmax[static_cast<std::size_t>(b - blocks.begin)];
    }
  }
  return absmax;
}

/// Everybody's absmax of every weight of a block, from the ranks that own them.
std::array<std::vector<float>, kLinears> gather_absmax(const BlockLayout& layout,
                                                       const std::array<std::vector<float>, kLinears>& mine,
                                                       std::int64_t block_size, Communicator& shards) {
  std::size_t longest = 0;
  for (int rank = 0; rank < shards.size(); ++rank) {
    std::size_t count = 0;
    for (const WeightLayout& weight : layout.weights) {
      count += static_cast<std::size_t>(owned_blocks(layout, weight, block_size, rank).size());
    }
    longest = std::max(longest, count);
  }
  std::vector<float> packed;
  for (const std::vector<float>& part : mine) {
    packed.insert(packed.end(), part.begin(), part.end());
  }
  packed.resize(longest);
  std::vector<float> all(longest * static_cast<std::size_t>(shards.size()));
  shards.all_gather(std::as_bytes(std::span(packed)), std::as_writable_bytes(std::span(all)), WireKind::control);

  std::array<std::vector<float>, kLinears> whole;
  for (int rank = 0; rank < shards.size(); ++rank) {
    auto from = all.begin() + static_cast<std::ptrdiff_t>(longest) * rank;
    for (std::size_t i = 0; i < kLinears; ++i) {
      const auto count = static_cast<std::ptrdiff_t>(owned_blocks(layout, layout.weights[i], block_size, rank).size());
      whole[i].insert(whole[i].end(), from, from + count);
      from += count;
    }
  }
  return whole;
}

/// Keeps this rank's bytes of a weight's block scales, quantized once more where asked. Returns the offset that was subtracted.
float keep_absmax(const std::vector<float>& absmax, const WeightLayout& weight, bool double_quant, Range part,
                  std::span<std::byte> kept, const Stream& stream) {
  if (!double_quant) {
    keep_section(std::as_bytes(std::span(absmax)), weight.absmax_offset, part, kept);
    return 0.0F;
  }
  const float offset = mean_absmax(absmax);
  const auto count = static_cast<std::int64_t>(absmax.size());
  const std::int64_t nested_count = divide_up(count, kNestedBlock);
  std::vector<std::uint8_t> codes(absmax.size());
  std::vector<float> nested(static_cast<std::size_t>(nested_count));
  nested_quantize(view(absmax.data(), {count}), offset, view(codes.data(), {count}), view(nested.data(), {nested_count}), stream);
  keep_section(std::as_bytes(std::span(codes)), weight.absmax_offset, part, kept);
  keep_section(std::as_bytes(std::span(nested)), weight.nested_offset, part, kept);
  return offset;
}

/// This rank's bytes of a weight that stays as the file has it.
void read_raw_part(const TensorInfo& tensor, const WeightLayout& weight, const BlockLayout& layout, int rank,
                   std::span<std::byte> kept) {
  const Range codes = codes_of(layout, weight, rank);
  if (codes.size() > 0) {
    const std::int64_t at = weight.codes_offset + codes.begin - rank * layout.part_bytes;
    const std::span<std::byte> place = kept.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(codes.size()));
    read_tensor_bytes(tensor, static_cast<std::uint64_t>(codes.begin), place);
    check_finite(tensor, place);
  }
}

void load_block(const TensorDirectory& directory, std::int64_t layer, const BaseFormat& format, const BlockLayout& layout,
                Communicator& shards, std::span<std::byte> kept, BlockRest& rest, const Stream& stream) {
  const int rank = shards.rank();
  std::array<std::vector<float>, kLinears> absmax;
  run_together(shards, [&] {
    for (const Linear linear : kAllLinears) {
      const std::size_t i = index_of(linear);
      const TensorInfo& tensor = directory.tensors.at(module_path(layer, linear) + ".weight");
      if (format.quantization == Quantization::none) {
        read_raw_part(tensor, layout.weights[i], layout, rank, kept);
      } else {
        absmax[i] = quantize_part(tensor, layout.weights[i], layout, format.block_size, rank, kept, stream);
      }
    }
  });
  if (format.quantization == Quantization::none) {
    return;
  }
  const std::array<std::vector<float>, kLinears> whole = gather_absmax(layout, absmax, format.block_size, shards);
  for (std::size_t i = 0; i < kLinears; ++i) {
    rest.nested_offset[i] = keep_absmax(whole[i], layout.weights[i], format.double_quant, part_of(layout, rank), kept, stream);
  }
}

/// A tensor in `dtype` where the operators run, read and rounded in pieces.
TensorView load_tensor(const TensorDirectory& directory, const std::string& name, DType dtype, const BasePlace& place) {
  const TensorInfo& tensor = directory.tensors.at(name);
  std::int64_t count = 1;
  for (const std::int64_t dim : tensor.shape) {
    count *= dim;
  }
  const auto width = static_cast<std::int64_t>(size_of(dtype));
  const auto there = place.arena.take<std::byte>(MemoryKind::embedding_and_head, name, count * width);
  Stream host;
  host.threads = place.stream.threads;
  std::vector<std::byte> raw;
  std::vector<float> values;
  std::vector<std::byte> rounded;
  for (std::int64_t begin = 0; begin < count; begin += kReadElements) {
    const Shape piece{std::min(kReadElements, count - begin)};
    ConstTensorView from;
    if (tensor.dtype == dtype) {
      raw.resize(static_cast<std::size_t>(piece.count() * width));
      read_tensor_bytes(tensor, static_cast<std::uint64_t>(begin * width), raw);
      check_finite(tensor, raw);
      from = {raw.data(), dtype, piece};
    } else {
      values.resize(static_cast<std::size_t>(piece.count()));
      read_as_f32(tensor, begin, values, raw, host);
      from = view(static_cast<const float*>(values.data()), piece);
      if (dtype != DType::f32) {
        rounded.resize(static_cast<std::size_t>(piece.count() * width));
        cast_cpu(from, {rounded.data(), dtype, piece}, host);
        from = {rounded.data(), dtype, piece};
      }
    }
    from_host(from, {there.data() + begin * width, dtype, piece}, place.stream);
  }
  const Shape shape = tensor.shape.size() == 1 ? Shape{count} : Shape{tensor.shape[0], tensor.shape[1]};
  return {there.data(), dtype, shape};
}

std::span<float> load_vector(const TensorDirectory& directory, const std::string& name, const BasePlace& place) {
  const TensorView there = load_tensor(directory, name, DType::f32, place);
  return {there.as<float>(), static_cast<std::size_t>(there.count())};
}

void load_rest(FrozenBase& base, const TensorDirectory& directory, const BasePlace& place) {
  const ModelSpec& spec = base.spec;
  const std::string embedding(kEmbeddingName);
  const DType of_file = directory.tensors.at(embedding).dtype;
  base.embedding = load_tensor(directory, embedding, spec.tied_head ? place.compute_dtype : of_file, place);
  base.head = spec.tied_head ? base.embedding : load_tensor(directory, std::string(kHeadName), place.compute_dtype, place);
  base.final_norm = load_vector(directory, std::string(kFinalNormName), place);
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    BlockRest& rest = base.rest[static_cast<std::size_t>(layer)];
    rest.input_norm = load_vector(directory, input_norm_name(layer), place);
    rest.post_attention_norm = load_vector(directory, post_attention_norm_name(layer), place);
    for (const Linear linear : kAllLinears) {
      if (linear_shape(spec, linear).bias) {
        rest.bias[index_of(linear)] = load_tensor(directory, module_path(layer, linear) + ".bias", place.compute_dtype, place);
      }
    }
  }
}

/// Reads and quantizes every block. Beside a GPU a part is made on the host and copied; there `staging` is that of one block.
void load_blocks(FrozenBase& base, const TensorDirectory& directory, Communicator& shards, const BasePlace& place) {
  const bool copied = place.stream.backend == Backend::cuda && !base.on_host;
  Stream host;
  host.threads = place.stream.threads;
  std::vector<std::byte> staging;
  for (std::size_t layer = 0; layer < base.layouts.size(); ++layer) {
    const std::span<std::byte> part = base.parts[layer];
    staging.resize(copied ? part.size() : 0);
    load_block(directory, static_cast<std::int64_t>(layer), base.format, base.layouts[layer], shards,
               copied ? std::span<std::byte>(staging) : part, base.rest[layer], host);
    if (copied) {
      run_together(shards, [&] {
        const Shape bytes{static_cast<std::int64_t>(part.size())};
        from_host({staging.data(), DType::u8, bytes}, {part.data(), DType::u8, bytes}, place.stream);
      });
    }
  }
  run_together(shards, [&] { synchronize(place.stream); });  // other streams read it too
}

}  // namespace

float mean_absmax(std::span<const float> absmax) {
  double sum = 0.0;
  for (const float value : absmax) {
    sum += static_cast<double>(value);
  }
  return absmax.empty() ? 0.0F : static_cast<float>(sum / static_cast<double>(absmax.size()));
}

BlockLayout make_block_layout(const std::array<DType, kLinears>& dtypes, const std::array<LinearShape, kLinears>& shapes,
                              const BaseFormat& format, int parts) {
  BlockLayout layout;
  std::int64_t at = 0;
  const auto place = [&at](std::int64_t bytes) {
    const std::int64_t offset = at;
    at += round_up(bytes, kAlign);
    return offset;
  };
  for (std::size_t i = 0; i < kLinears; ++i) {
    WeightLayout& weight = layout.weights[i];
    const std::int64_t elements = shapes[i].out * shapes[i].in;
    weight.dtype = dtypes[i];
    weight.rows = shapes[i].out;
    weight.cols = shapes[i].in;
    if (format.quantization == Quantization::none) {
      weight.codes_bytes = elements * static_cast<std::int64_t>(size_of(weight.dtype));
    } else {
      const std::int64_t blocks = divide_up(elements, format.block_size);
      weight.codes_bytes = divide_up(elements, 2);
      weight.absmax_bytes = format.double_quant ? blocks : blocks * 4;
      weight.nested_bytes = format.double_quant ? divide_up(blocks, kNestedBlock) * 4 : 0;
    }
    weight.codes_offset = place(weight.codes_bytes);
    weight.absmax_offset = place(weight.absmax_bytes);
    weight.nested_offset = place(weight.nested_bytes);
  }
  layout.bytes = at;
  layout.part_bytes = round_up(divide_up(at, parts), kAlign);
  return layout;
}

std::int64_t FrozenBase::largest_weight() const {
  std::int64_t largest = 0;
  for (const BlockLayout& layout : layouts) {
    for (const WeightLayout& weight : layout.weights) {
      largest = std::max(largest, weight.rows * weight.cols);
    }
  }
  return largest;
}

std::int64_t FrozenBase::largest_window() const {
  std::int64_t largest = 0;
  for (const BlockLayout& layout : layouts) {
    largest = std::max(largest, layout.part_bytes * shards);
  }
  return largest;
}

FrozenBase load_frozen_base(const ModelSpec& spec, const TensorDirectory& directory, const BaseFormat& format,
                            Communicator& shards, const BasePlace& place) {
  FrozenBase base;
  base.spec = spec;
  base.format = format;
  base.shards = shards.size();
  base.on_host = place.pinned != nullptr && place.stream.backend == Backend::cuda;
  base.rest.resize(static_cast<std::size_t>(spec.layers));
  Arena& blocks = base.on_host ? *place.pinned : place.arena;
  const MemoryKind kind = base.on_host ? MemoryKind::base_on_host : MemoryKind::base_shard;
  run_together(shards, [&] {
    check_model_tensors(spec, directory);
    std::array<LinearShape, kLinears> shapes;
    std::array<DType, kLinears> dtypes;
    for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
      for (const Linear linear : kAllLinears) {
        shapes[index_of(linear)] = linear_shape(spec, linear);
        dtypes[index_of(linear)] = directory.tensors.at(module_path(layer, linear) + ".weight").dtype;
      }
      base.layouts.push_back(make_block_layout(dtypes, shapes, format, shards.size()));
      base.parts.push_back(blocks.take<std::byte>(kind, "block " + std::to_string(layer), base.layouts.back().part_bytes));
    }
    load_rest(base, directory, place);
  });
  load_blocks(base, directory, shards, place);
  return base;
}

}  // namespace lora_dist

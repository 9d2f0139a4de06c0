// Reads the base matrix by matrix, quantizes it, and keeps the part that belongs to this rank.
#include "src/model/frozen_shard.h"

#include <algorithm>
#include <optional>

#include "kernels/common/device.h"
#include "kernels/copy/copy.h"
#include "src/comm/agree.h"
#include "src/model/base_rest.h"
#include "src/model/family.h"
#include "src/model/finite_weights.h"
#include "src/model/prequantized.h"
#include "src/model/quantized_weight.h"
#include "src/model/weight_source.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kReadElements = std::int64_t{1} << 20;  // read and quantized at a time

/// Quantizes the blocks of one weight that this rank's code bytes touch, keeps those bytes, and returns the absmax of the blocks
/// it owns.
std::vector<float> quantize_part(const WeightSource& source, const WeightLayout& weight, const BlockLayout& layout, int rank,
                                 std::span<std::byte> kept, const Stream& stream) {
  const BaseFormat& format = weight.format;
  const BlockRange codes = codes_of(layout, weight, rank);
  const BlockRange owned = owned_blocks(layout, weight, rank);
  std::vector<float> absmax(static_cast<std::size_t>(owned.size()));
  const std::int64_t block_size = format.scale_elements(weight.cols);
  const std::int64_t bytes_per_block = format.code_bytes(block_size);
  const std::int64_t elements = weight.rows * weight.cols;
  const std::int64_t step = std::max<std::int64_t>(1, kReadElements / block_size);
  const BlockRange touched{codes.begin / bytes_per_block, divide_up(codes.end, bytes_per_block)};
  std::vector<std::byte> raw;
  std::vector<float> values;
  std::vector<std::byte> chunk_codes;
  std::vector<float> chunk_absmax;
  for (std::int64_t first = touched.begin; first < touched.end && codes.size() > 0; first += step) {
    const BlockRange blocks{first, std::min(first + step, touched.end)};
    const BlockRange range{blocks.begin * block_size, std::min(blocks.end * block_size, elements)};
    values.resize(static_cast<std::size_t>(range.size()));
    chunk_codes.resize(static_cast<std::size_t>(format.code_bytes(range.size())));
    chunk_absmax.resize(static_cast<std::size_t>(blocks.size()));
    read_as_f32(source, range.begin, values, raw, stream);
    quantize_blocks(values, weight.cols, format, chunk_codes, chunk_absmax, stream);
    keep_section(chunk_codes, weight.codes_offset + blocks.begin * bytes_per_block, part_of(layout, rank), kept);
    const BlockRange mine = overlap(blocks, owned);
    for (std::int64_t b = mine.begin; b < mine.end; ++b) {
      absmax[static_cast<std::size_t>(b - owned.begin)] = chunk_absmax[static_cast<std::size_t>(b - blocks.begin)];
    }
  }
  return absmax;
}

/// Everybody's absmax of every weight of a block, from the ranks that own them.
std::array<std::vector<float>, kLinears> gather_absmax(const BlockLayout& layout,
                                                       const std::array<std::vector<float>, kLinears>& mine,
                                                       Communicator& shards) {
  std::size_t longest = 0;
  for (int rank = 0; rank < shards.size(); ++rank) {
    std::size_t count = 0;
    for (const WeightLayout& weight : layout.weights) {
      count += static_cast<std::size_t>(owned_blocks(layout, weight, rank).size());
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
      const auto count = static_cast<std::ptrdiff_t>(owned_blocks(layout, layout.weights[i], rank).size());
      whole[i].insert(whole[i].end(), from, from + count);
      from += count;
    }
  }
  return whole;
}

/// Keeps this rank's bytes of a weight's scales. Returns the offset that double quantization subtracted.
float keep_absmax(std::span<const float> absmax, const WeightLayout& weight, BlockRange part, std::span<std::byte> kept,
                  const Stream& stream) {
  const KeptScales scales = keep_scales(absmax, weight.format, stream);
  keep_section(scales.absmax, weight.absmax_offset, part, kept);
  keep_section(std::as_bytes(std::span(scales.nested)), weight.nested_offset, part, kept);
  return scales.offset;
}

/// The bytes that this rank keeps of a section of the block.
struct KeptSection {
  BlockRange range;            // counted from the section's first
  std::span<std::byte> bytes;  // where they go
};
KeptSection kept_section(const BlockLayout& layout, std::int64_t offset, std::int64_t bytes, int rank,
                         std::span<std::byte> kept) {
  const BlockRange held = held_of(layout, offset, bytes, rank);
  const std::int64_t at = held.size() == 0 ? 0 : offset + held.begin - rank * layout.part_bytes;
  return {held, kept.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(held.size()))};
}

/// This rank's bytes of a weight that stays as the file has it.
void read_raw_part(const WeightSource& source, const WeightLayout& weight, const BlockLayout& layout, int rank,
                   std::span<std::byte> kept) {
  const KeptSection codes = kept_section(layout, weight.codes_offset, weight.codes_bytes, rank, kept);
  if (codes.range.size() > 0) {
    read_as_is(source, codes.range.begin, codes.bytes);
  }
}

/// This rank's bytes of a weight that the files have quantized already.
void read_prequantized_part(const PrequantizedWeight& stored, const WeightLayout& weight, const BlockLayout& layout, int rank,
                            std::span<std::byte> kept) {
  const auto read = [&](const TensorInfo& tensor, std::int64_t offset, std::int64_t bytes) {
    const KeptSection section = kept_section(layout, offset, bytes, rank, kept);
    if (section.range.size() > 0) {
      read_tensor_bytes(tensor, static_cast<std::uint64_t>(section.range.begin), section.bytes);
    }
    return section;
  };
  read(*stored.codes, weight.codes_offset, weight.codes_bytes);
  if (!stored.nested_map.empty()) {
    const std::vector<float> scales = read_scales(stored);
    keep_section(std::as_bytes(std::span(scales)), weight.absmax_offset, part_of(layout, rank), kept);
    return;
  }
  check_finite(*stored.absmax, read(*stored.absmax, weight.absmax_offset, weight.absmax_bytes).bytes);
  if (stored.nested_absmax != nullptr) {
    check_finite(*stored.nested_absmax, read(*stored.nested_absmax, weight.nested_offset, weight.nested_bytes).bytes);
  }
}

/// What a base keeps of each weight of a block. In a folder that is quantized already, weights that are not stay as they are.
std::array<WeightKind, kLinears> weight_kinds(const FrozenBase& base, const TensorDirectory& directory, std::int64_t layer,
                                              const StoredWeights& stored, bool quantizes) {
  std::array<WeightKind, kLinears> kinds;
  for (const Linear linear : kAllLinears) {
    WeightKind& kind = kinds[index_of(linear)];
    kind.shape = linear_shape(base.spec, linear);
    kind.format = quantizes ? base.format : BaseFormat{Quantization::none};
    if (stored[index_of(linear)]) {
      kind.format = stored[index_of(linear)]->format;
    } else if (kind.shape.out > 0) {
      kind.dtype = find_tensor(base.spec, directory, weight_tensor(base.spec, layer, linear)).dtype;
    }
  }
  return kinds;
}

/// What it takes to read one block.
struct BlockReader {
  const ModelSpec& spec;
  const TensorDirectory& directory;
  std::int64_t layer;
  const BlockLayout& layout;
  const StoredWeights& stored;
  int rank;
  const Stream& stream;

  /// Reads and keeps one weight; the absmax of the blocks that this rank owns where they are computed here.
  std::vector<float> read(Linear linear, std::span<std::byte> kept) const {
    const std::size_t i = index_of(linear);
    const WeightLayout& weight = layout.weights[i];
    if (stored[i]) {
      read_prequantized_part(*stored[i], weight, layout, rank, kept);
      return {};
    }
    if (codes_of(layout, weight, rank).size() == 0) {
      return {};
    }
    const WeightSource source =
        open_weight(find_tensor(spec, directory, weight_tensor(spec, layer, linear)), spec.family->transposed);
    if (weight.format.quantization == Quantization::none) {
      read_raw_part(source, weight, layout, rank, kept);
      return {};
    }
    return quantize_part(source, weight, layout, rank, kept, stream);
  }
};

/// `quantizes`: absmax are computed here, each by the rank that owns its block, and gathered.
void load_block(const BlockReader& reader, bool quantizes, Communicator& shards, std::span<std::byte> kept, BlockRest& rest) {
  std::array<std::vector<float>, kLinears> absmax;
  run_together(shards, [&] {
    for (const Linear linear : kAllLinears) {
      absmax[index_of(linear)] = reader.read(linear, kept);
    }
  });
  std::array<std::vector<float>, kLinears> whole;
  if (quantizes) {
    whole = gather_absmax(reader.layout, absmax, shards);
  }
  for (std::size_t i = 0; i < kLinears; ++i) {
    rest.nested_offset[i] = reader.stored[i] ? reader.stored[i]->nested_offset
                                             : keep_absmax(whole[i], reader.layout.weights[i],
                                                           part_of(reader.layout, reader.rank), kept, reader.stream);
  }
}

/// Reads and quantizes every block. Beside a GPU a part is made on the host and copied; there `staging` is that of one block.
void load_blocks(FrozenBase& base, const TensorDirectory& directory, std::span<const StoredWeights> stored, bool quantizes,
                 Communicator& shards, const BasePlace& place) {
  const bool copied = place.stream.backend == Backend::cuda && !base.on_host;
  Stream host;
  host.threads = place.stream.threads;
  std::vector<std::byte> staging;
  for (std::size_t layer = 0; layer < base.layouts.size(); ++layer) {
    const std::span<std::byte> part = base.parts[layer];
    staging.resize(copied ? part.size() : 0);
    const BlockReader reader{base.spec,     directory, static_cast<std::int64_t>(layer), base.layouts[layer], stored[layer],
                             shards.rank(), host};
    load_block(reader, quantizes, shards, copied ? std::span<std::byte>(staging) : part, base.rest[layer]);
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

std::int64_t FrozenBase::largest_weight() const {
  std::int64_t largest = 0;
  for (const BlockLayout& layout : layouts) {
    for (const WeightLayout& weight : layout.weights) {
      largest = std::max(largest, weight.rows * weight.cols);
    }
  }
  return largest;
}

std::int64_t FrozenBase::most_scales() const {
  std::int64_t most = 0;
  for (const BlockLayout& layout : layouts) {
    for (const WeightLayout& weight : layout.weights) {
      most = std::max(most, weight.format.nested() ? weight.scales() : 0);
    }
  }
  return most;
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
  bool quantizes = format.quantization != Quantization::none;
  std::vector<StoredWeights> stored;
  run_together(shards, [&] {
    stored = check_model_tensors(spec, directory);
    if (const std::optional<BaseFormat> of_folder = stored_format(stored)) {
      base.format = *of_folder;
      quantizes = false;
    }
    for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
      const StoredWeights& weights = stored[static_cast<std::size_t>(layer)];
      base.layouts.push_back(make_block_layout(weight_kinds(base, directory, layer, weights, quantizes), shards.size()));
      base.parts.push_back(blocks.take<std::byte>(kind, "block " + std::to_string(layer), base.layouts.back().part_bytes));
    }
    load_rest(base, directory, place);
  });
  load_blocks(base, directory, stored, quantizes, shards, place);
  return base;
}

}  // namespace lora_dist

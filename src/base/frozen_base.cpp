// Reads the base matrix by matrix, quantizes it, and keeps this rank's slice.
#include "src/base/frozen_base.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/elementwise/copy.h"
#include "src/base/finite_weights.h"
#include "src/base/prequantized.h"
#include "src/base/quantized_weight.h"
#include "src/base/share_slices.h"
#include "src/base/unsharded_tensors.h"
#include "src/base/weight_shard.h"
#include "src/base/weight_source.h"
#include "src/comm/agree.h"
#include "src/core/fault_point.h"
#include "src/core/stop_request.h"
#include "src/model/family.h"

namespace lora_dist {

namespace {

/// This rank's part of a section of the block.
struct KeptSection {
  IndexRange range;            // relative to the section
  std::span<std::byte> bytes;  // the destination
};
KeptSection kept_section(const BlockLayout& layout, std::int64_t offset, std::int64_t bytes, int rank,
                         std::span<std::byte> kept) {
  const IndexRange held = held_of(layout, offset, bytes, rank);
  const std::int64_t at = held.size() == 0 ? 0 : offset + held.begin - rank * layout.slice_bytes;
  return {held, kept.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(held.size()))};
}

/// All-reduces absmax: each rank has the values of the blocks that it read, and 0 elsewhere. Magnitudes are ordered like their
/// bits, so a max over integers is exact.
void share_absmax(std::array<std::vector<float>, kLinears>& absmax, Communicator& holders) {
  if (holders.size() == 1) {
    return;
  }
  std::vector<std::int64_t> bits;
  for (const std::vector<float>& of_weight : absmax) {
    for (const float value : of_weight) {
      bits.push_back(std::bit_cast<std::uint32_t>(value));
    }
  }
  holders.all_reduce(bits, Reduce::max, WireKind::control);
  auto from = bits.begin();
  for (std::vector<float>& of_weight : absmax) {
    for (float& value : of_weight) {
      value = std::bit_cast<float>(static_cast<std::uint32_t>(*from++));
    }
  }
}

/// Copies this rank's bytes of a weight's scales.
void keep_scale_sections(std::span<const std::byte> absmax, std::span<const std::byte> nested, const WeightLayout& weight,
                         IndexRange slice, std::span<std::byte> kept) {
  if (weight.absmax_bytes > 0) {
    keep_section(scales_of_part(absmax, weight.format.nested() ? 1 : 4, weight), weight.absmax_offset, slice, kept);
    keep_section(nested, weight.nested_offset, slice, kept);
  }
}

/// All bytes of a tensor; floats are checked to be finite.
std::vector<std::byte> read_whole(const TensorInfo& tensor) {
  std::vector<std::byte> bytes(tensor.bytes);
  read_tensor_bytes(tensor, 0, bytes);
  check_finite(tensor, bytes);
  return bytes;
}

/// This rank's scales of a prequantized weight.
void keep_stored_scales(const PrequantizedWeight& stored, const WeightLayout& weight, IndexRange slice,
                        std::span<std::byte> kept) {
  if (!stored.nested_map.empty()) {
    const std::vector<float> scales = read_scales(stored);
    keep_scale_sections(std::as_bytes(std::span(scales)), {}, weight, slice, kept);
    return;
  }
  const std::vector<std::byte> nested =
      stored.nested_absmax != nullptr ? read_whole(*stored.nested_absmax) : std::vector<std::byte>{};
  keep_scale_sections(read_whole(*stored.absmax), nested, weight, slice, kept);
}

/// The weights of a block as the base keeps them. In a prequantized folder, weights that are not quantized stay floats.
std::array<WeightKind, kLinears> weight_kinds(const FrozenBase& base, const ModelSpec& whole, const TensorDirectory& directory,
                                              std::int64_t layer, const StoredWeights& stored, bool quantizes) {
  std::array<WeightKind, kLinears> kinds;
  for (const Linear linear : kAllLinears) {
    WeightKind& kind = kinds[index_of(linear)];
    kind.shape = linear_shape(base.spec, linear);
    kind.whole = linear_shape(whole, linear);
    kind.in_whole = weight_slice(whole, base.tp, linear);
    kind.format = quantizes ? base.format : BaseFormat{Quantization::none};
    if (stored[index_of(linear)]) {
      kind.format = stored[index_of(linear)]->format;
    } else if (kind.shape.out > 0) {
      const DType of_file = find_tensor(whole, directory, weight_tensor(whole, layer, linear)).dtype;
      kind.dtype = base.trained ? DType::f32 : of_file;
    }
  }
  return kinds;
}

/// The context of reading one block.
struct BlockReader {
  const ModelSpec& whole;
  const TensorDirectory& directory;
  std::int64_t layer;
  const BlockLayout& layout;
  const StoredWeights& stored;
  int rank;
  const Stream& stream;

  /// Reads one weight and keeps this rank's codes. If absmax is computed here, returns that of the whole weight: values of the
  /// blocks that were read, 0 elsewhere.
  std::vector<float> read(Linear linear, std::span<std::byte> kept) const {
    const std::size_t i = index_of(linear);
    const WeightLayout& weight = layout.weights[i];
    const KeptSection section = kept_section(layout, weight.codes_offset, weight.codes_bytes, rank, kept);
    const KeptCodes codes{elements_of(layout, weight, rank), section.bytes};
    const bool here = section.range.size() > 0;
    if (stored[i]) {
      if (here) {
        read_kept_codes(*stored[i]->codes, weight, codes);
      }
      keep_stored_scales(*stored[i], weight, slice_of(layout, rank), kept);
      return {};
    }
    const bool quantizes = weight.format.quantization != Quantization::none;
    std::vector<float> absmax(static_cast<std::size_t>(quantizes && weight.rows > 0 ? weight.whole_scales() : 0));
    if (here) {
      const WeightSource source =
          open_weight(find_tensor(whole, directory, weight_tensor(whole, layer, linear)), whole.family->transposed);
      quantizes ? quantize_kept(source, weight, codes, absmax, stream) : read_kept(source, weight, codes, stream);
    }
    return absmax;
  }
};

/// `quantizes`: the ranks that read their blocks compute absmax here, and share them.
void load_block(const BlockReader& reader, bool quantizes, const BaseHolders& holders, std::span<std::byte> kept,
                BlockRest& rest) {
  std::array<std::vector<float>, kLinears> absmax;
  run_together(holders.world, [&] {
    for (const Linear linear : kAllLinears) {
      stop_if_requested();
      fault_point("load");
      absmax[index_of(linear)] = reader.read(linear, kept);
    }
  });
  if (quantizes) {
    share_absmax(absmax, holders.all);
  }
  for (std::size_t i = 0; i < kLinears; ++i) {
    if (reader.stored[i]) {
      rest.nested_offset[i] = reader.stored[i]->nested_offset;
      continue;
    }
    const WeightLayout& weight = reader.layout.weights[i];
    const KeptScales scales = keep_scales(absmax[i], weight.format, reader.stream);
    keep_scale_sections(scales.absmax, std::as_bytes(std::span(scales.nested)), weight, slice_of(reader.layout, reader.rank),
                        kept);
    rest.nested_offset[i] = scales.offset;
  }
}

/// Reads and quantizes every block. With a GPU, each block's slice is made in `staging` on the host and copied.
void load_blocks(FrozenBase& base, const ModelSpec& whole, const TensorDirectory& directory,
                 std::span<const StoredWeights> stored, bool quantizes, const BaseHolders& holders, const BaseStorage& storage) {
  const bool copied = storage.stream.backend == Backend::cuda && !base.on_host;
  Stream host;
  host.threads = storage.stream.threads;
  std::vector<std::byte> staging;
  for (std::size_t layer = 0; layer < base.layouts.size(); ++layer) {
    const std::span<std::byte> slice = base.slices[layer];
    staging.resize(copied ? slice.size() : 0);
    const BlockReader reader{
        whole, directory, static_cast<std::int64_t>(layer), base.layouts[layer], stored[layer], holders.shards.rank(), host};
    load_block(reader, quantizes, holders, copied ? std::span<std::byte>(staging) : slice, base.rest[layer]);
    if (copied) {
      run_together(holders.world, [&] {
        const Shape bytes{static_cast<std::int64_t>(slice.size())};
        from_host({staging.data(), DType::u8, bytes}, {slice.data(), DType::u8, bytes}, storage.stream);
      });
    }
  }
  run_together(holders.world, [&] { synchronize(storage.stream); });  // other streams read it too
}

}  // namespace

const std::byte* FrozenBase::block_in_place(std::int64_t layer, int shard) const {
  const std::span<std::byte> slice = slices[static_cast<std::size_t>(layer)];
  return of_node ? slice.data() - static_cast<std::size_t>(shard) * slice.size() : slice.data();
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
    largest = std::max(largest, layout.slice_bytes * shards);
  }
  return largest;
}

namespace {

/// A base whose memory is allocated, and the sources of its blocks' weights.
struct LaidOut {
  FrozenBase base;
  std::vector<StoredWeights> stored;  // per layer
  bool quantizes = false;             // weights are quantized while they are read
};

/// Lays out the base, takes its memory and fills the replicated tensors.
LaidOut lay_out(const ModelSpec& spec, const TensorDirectory& directory, const BaseFormat& format, const TpShard& tp, int shards,
                const BaseStorage& storage) {
  LaidOut laid;
  FrozenBase& base = laid.base;
  base.tp = tp;
  base.spec = spec_of(spec, tp);
  base.format = format;
  base.shards = shards;
  base.on_host = storage.pinned != nullptr && storage.stream.backend == Backend::cuda;
  base.of_node = storage.of_node && shards > 1 && storage.stream.backend == Backend::cpu;
  base.trained = storage.trained;
  base.rest.resize(static_cast<std::size_t>(spec.layers));
  laid.quantizes = format.quantization != Quantization::none;
  Arena& blocks = base.on_host ? *storage.pinned : storage.arena;
  const MemoryKind kind = base.on_host ? MemoryKind::base_on_host : MemoryKind::base_shard;
  laid.stored = check_model_tensors(spec, directory);
  if (const std::optional<BaseFormat> of_folder = stored_format(laid.stored)) {
    base.format = *of_folder;
    laid.quantizes = false;
  }
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    const StoredWeights& weights = laid.stored[static_cast<std::size_t>(layer)];
    base.layouts.push_back(make_block_layout(weight_kinds(base, spec, directory, layer, weights, laid.quantizes), base.shards));
    const std::string name = "block " + std::to_string(layer);
    const std::int64_t bytes = base.layouts.back().slice_bytes;
    if (base.of_node) {
      blocks.count(kind, name, bytes);
    } else {
      base.slices.push_back(blocks.take<std::byte>(kind, name, bytes));
    }
  }
  take_tables(base, spec, directory, storage);
  load_rest(base, spec, directory, storage);
  return laid;
}

}  // namespace

FrozenBase load_frozen_base(const ModelSpec& spec, const TensorDirectory& directory, const BaseFormat& format,
                            const BaseHolders& holders, const BaseStorage& storage) {
  LaidOut laid;
  run_together(holders.world, [&] { laid = lay_out(spec, directory, format, holders.tp, holders.shards.size(), storage); });
  if (laid.base.of_node) {
    share_slices(laid.base, holders.shards, holders.world);
  }
  run_together(holders.world, [&] { load_tables(laid.base, spec, directory, storage, holders.shards.rank()); });
  load_blocks(laid.base, spec, directory, laid.stored, laid.quantizes, holders, storage);
  return std::move(laid.base);
}

FrozenBase lay_out_frozen_base(const ModelSpec& spec, const TensorDirectory& directory, const BaseFormat& format,
                               const TpShard& tp, int shards, const BaseStorage& storage) {
  require(!storage.arena.holds_memory(), "a base that is only laid out takes no memory");
  FrozenBase base = lay_out(spec, directory, format, tp, shards, storage).base;
  if (base.of_node) {
    lay_out_shared_slices(base);
  }
  return base;
}

}  // namespace lora_dist

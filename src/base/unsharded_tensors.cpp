// Reads the tensors outside the blocks.
#include "src/base/unsharded_tensors.h"

#include <algorithm>

#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "src/base/weight_source.h"
#include "src/model/family.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kElementsAtATime = std::int64_t{1} << 20;  // at a time

struct RestLoader {
  const ModelSpec& whole;
  const TensorDirectory& directory;
  const BaseStorage& storage;

  /// Reads a part of a tensor to `there` in the operators' memory, rounded to `dtype`, piece by piece. `added` is added to each
  /// element before rounding.
  void read(const ModelTensor& wanted, const StridedSlice& slice, DType dtype, float added, std::byte* there) const {
    const WeightSource source{&find_tensor(whole, directory, wanted)};
    const auto width = static_cast<std::int64_t>(size_of(dtype));
    Stream host;
    host.threads = storage.stream.threads;
    std::vector<std::byte> raw;
    std::vector<float> values;
    for (std::int64_t begin = 0; begin < slice.elements();) {
      const SliceSegment segment = segment_at(slice, begin, std::min(begin + kElementsAtATime, slice.elements()));
      const Shape piece{segment.count};
      ConstTensorView from;
      if (source.tensor->dtype == dtype && added == 0.0F) {
        raw.resize(static_cast<std::size_t>(piece.count() * width));
        read_as_is(source, segment.in_whole * width, raw);
        from = {raw.data(), dtype, piece};
      } else {
        values.resize(static_cast<std::size_t>(piece.count()));
        read_as_f32(source, segment.in_whole, values, raw, host);
        std::for_each(values.begin(), values.end(), [&](float& value) { value += added; });
        from = view(static_cast<const float*>(values.data()), piece);
        if (dtype != DType::f32) {
          raw.resize(static_cast<std::size_t>(piece.count() * width));
          cast_cpu(from, {raw.data(), dtype, piece}, host);
          from = {raw.data(), dtype, piece};
        }
      }
      from_host(from, {there + begin * width, dtype, piece}, storage.stream);
      begin += piece.count();
    }
  }

  /// The same, to memory taken from the arena.
  TensorView part(const ModelTensor& wanted, const StridedSlice& slice, Shape shape, DType dtype, float added = 0.0F) const {
    const auto width = static_cast<std::int64_t>(size_of(dtype));
    const auto there = storage.arena.take<std::byte>(MemoryKind::embedding_and_head, wanted.name, slice.elements() * width);
    if (storage.arena.holds_memory()) {
      read(wanted, slice, dtype, added, there.data());
    }
    return {there.data(), dtype, shape};
  }

  /// A whole table [rows, hidden].
  TensorView table(std::string_view name, std::int64_t rows, DType dtype) const {
    return part(table_tensor(name, rows), {1, rows * whole.hidden, 0, 0}, {rows, whole.hidden}, dtype);
  }

  /// This rank's slices of a vocabulary table; `ids`: the ids of its TP rank.
  void slices(std::string_view name, const VocabTable& to, const IndexRange& ids, int shard) const {
    for (std::int64_t i = 0; i < to.chunks; ++i) {
      const IndexRange held = to.slice_elements(i, to.shards == 1 ? 0 : shard);
      const std::int64_t first = (ids.begin + to.chunk(i).begin) * whole.hidden + held.begin;
      const std::int64_t in_files = whole.vocab_of_files() * whole.hidden;
      const std::int64_t count = std::clamp(in_files - first, std::int64_t{0}, held.size());
      std::byte* const there = to.slices[static_cast<std::size_t>(i)].data();
      read(table_tensor(name, whole.vocab_of_files()), {1, count, first, 0}, to.dtype, 0.0F, there);
      if (count < held.size()) {  // rows that the adapter has
        const std::size_t bytes = static_cast<std::size_t>(count) * size_of(to.dtype);
        zero({there + bytes, to.dtype, {held.size() - count}}, storage.stream);
      }
    }
  }

  std::span<float> vector(const std::string& name, std::int64_t width, float added = 0.0F) const {
    const TensorView there = part({name, {width}}, {1, width, 0, 0}, {width}, DType::f32, added);
    return {there.as<float>(), static_cast<std::size_t>(width)};
  }

  NormWeights norm(std::string_view name, std::int64_t layer, std::int64_t width, Norm kind) const {
    NormWeights norm;
    if (name.empty()) {
      return norm;
    }
    norm.weight = vector(path_of(name, layer) + ".weight", width, whole.norm_adds_one ? 1.0F : 0.0F);
    if (kind == Norm::layer && whole.norm_bias) {
      norm.bias = vector(path_of(name, layer) + ".bias", width);
    } else if (kind == Norm::layer) {
      norm.bias = storage.arena.take<float>(MemoryKind::embedding_and_head, "bias of a norm without one", width);
      if (storage.arena.holds_memory()) {
        zero(view(norm.bias), storage.stream);
      }
    }
    return norm;
  }

  /// RMSNorm of all heads together: the weights of a rank's heads.
  NormWeights norm_of_heads(std::string_view name, std::int64_t layer, std::int64_t heads, const IndexRange& held) const {
    const std::int64_t d = whole.head_dim;
    const TensorView there = part({path_of(name, layer) + ".weight", {heads * d}}, {1, held.size() * d, held.begin * d, 0},
                                  {held.size() * d}, DType::f32, whole.norm_adds_one ? 1.0F : 0.0F);
    return {{there.as<float>(), static_cast<std::size_t>(held.size() * d)}, {}};
  }

  ModelTensor table_tensor(std::string_view name, std::int64_t rows) const {
    return {std::string(name) + ".weight", {rows, whole.hidden}};
  }
};

/// Takes a table's memory in one piece; node-shared memory is only counted.
void take_slices(VocabTable& table, const std::string& name, Arena& arena) {
  const std::int64_t bytes = held_bytes(table);
  if (table.of_node) {
    arena.count(MemoryKind::embedding_and_head, name, bytes);
  } else {
    place_slices(table, arena.take<std::byte>(MemoryKind::embedding_and_head, name, bytes));
  }
}

}  // namespace

void take_tables(FrozenBase& base, const ModelSpec& whole, const TensorDirectory& directory, const BaseStorage& storage) {
  const TensorNames& names = whole.family->names;
  const std::int64_t elements = storage.chunk_elements > 0 ? storage.chunk_elements : chunk_elements(storage.stream.backend);
  const auto take = [&](std::string_view tensor, DType dtype) {
    const std::int64_t widest = base.tp.is_whole() ? whole.vocab : base.tp.widest_vocab;
    VocabTable table = lay_out_table(base.tp.vocab.size(), whole.hidden, dtype, widest, elements);
    table.shards = storage.divides_vocabulary ? base.shards : 1;
    table.of_node = base.of_node && table.shards > 1;
    take_slices(table, std::string(tensor) + ".weight", storage.arena);
    return table;
  };
  const ModelTensor embedding{std::string(names.embedding) + ".weight", {whole.vocab_of_files(), whole.hidden}};
  const DType of_head = base.trained ? DType::f32 : storage.compute_dtype;
  base.embedding =
      take(names.embedding, whole.tied_head || base.trained ? of_head : find_tensor(whole, directory, embedding).dtype);
  base.head = whole.tied_head ? base.embedding : take(names.heads[0], of_head);
}

void load_tables(const FrozenBase& base, const ModelSpec& whole, const TensorDirectory& directory, const BaseStorage& storage,
                 int shard) {
  const TensorNames& names = whole.family->names;
  const RestLoader load{whole, directory, storage};
  load.slices(names.embedding, base.embedding, base.tp.vocab, shard);
  if (!whole.tied_head) {
    load.slices(names.heads[0], base.head, base.tp.vocab, shard);
  }
}

void load_rest(FrozenBase& base, const ModelSpec& whole, const TensorDirectory& directory, const BaseStorage& storage) {
  const TensorNames& names = whole.family->names;
  const RestLoader load{whole, directory, storage};
  if (whole.learned_positions) {
    base.positions = load.table(names.positions, whole.max_positions, DType::f32);
  }
  base.final_norm = load.norm(names.final_norm, 0, whole.hidden, whole.norm);
  for (std::int64_t layer = 0; layer < whole.layers; ++layer) {
    BlockRest& rest = base.rest[static_cast<std::size_t>(layer)];
    if (whole.norm_before) {
      rest.attention_norm = load.norm(names.attention_norm, layer, whole.hidden, whole.norm);
      rest.mlp_norm = whole.shared_norm ? rest.attention_norm : load.norm(names.mlp_norm, layer, whole.hidden, whole.norm);
    }
    if (whole.norm_after) {
      rest.attention_out_norm = load.norm(names.attention_out_norm, layer, whole.hidden, whole.norm);
      rest.mlp_out_norm = load.norm(names.mlp_out_norm, layer, whole.hidden, whole.norm);
    }
    if (whole.width_norm) {
      rest.q_norm = load.norm_of_heads(names.q_norm, layer, whole.heads, base.tp.heads);
      rest.k_norm = load.norm_of_heads(names.k_norm, layer, whole.kv_heads, base.tp.kv_heads);
    } else {
      rest.q_norm = load.norm(names.q_norm, layer, whole.head_dim, Norm::rms);
      rest.k_norm = load.norm(names.k_norm, layer, whole.head_dim, Norm::rms);
    }
    for (const Linear linear : kAllLinears) {
      const LinearShape shape = linear_shape(whole, linear);
      const StridedSlice slice = shape.bias ? bias_slice(whole, base.tp, linear) : StridedSlice{};
      if (slice.elements() > 0) {
        rest.bias[index_of(linear)] = load.part({module_path(*whole.family, layer, linear) + ".bias", {shape.out}}, slice,
                                                {slice.elements()}, storage.compute_dtype);
      }
    }
  }
}

}  // namespace lora_dist

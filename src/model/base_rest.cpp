// Reads what every rank holds whole.
#include "src/model/base_rest.h"

#include <algorithm>

#include "src/model/family.h"
#include "src/model/weight_source.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kReadElements = std::int64_t{1} << 20;  // at a time

/// Reads the tensors that every rank holds whole.
struct RestLoader {
  const ModelSpec& spec;
  const TensorDirectory& directory;
  Arena& arena;
  const Stream& stream;

  std::span<float> vector(const std::string& name, std::int64_t width) const {
    const TensorInfo& tensor = find_tensor(spec, directory, {name, {width}});
    const std::span<float> out = arena.take<float>(MemoryKind::embedding_and_head, name, width);
    std::vector<std::byte> raw;
    read_as_f32({&tensor, {}}, 0, out, raw, stream);
    return out;
  }

  NormWeights norm(std::string_view name, std::int64_t layer, std::int64_t width, Norm kind) const {
    NormWeights norm;
    if (name.empty()) {
      return norm;
    }
    norm.weight = vector(path_of(name, layer) + ".weight", width);
    for (float& weight : norm.weight) {
      weight += spec.norm_adds_one ? 1.0F : 0.0F;
    }
    if (kind == Norm::layer) {
      norm.bias = vector(path_of(name, layer) + ".bias", width);
    }
    return norm;
  }

  /// A [rows, hidden] table, in f32 or in the file's dtype, read in pieces.
  ConstTensorView table(std::string_view name, std::int64_t rows, bool as_f32) const {
    const TensorInfo& tensor = find_tensor(spec, directory, {std::string(name) + ".weight", {rows, spec.hidden}});
    const WeightSource source{&tensor, {}};
    const Shape shape{rows, spec.hidden};
    if (!as_f32 && tensor.dtype != DType::f32) {
      const auto bytes =
          arena.take<std::byte>(MemoryKind::embedding_and_head, tensor.name, static_cast<std::int64_t>(tensor.bytes));
      read_as_is(source, 0, bytes);
      return {bytes.data(), tensor.dtype, shape};
    }
    const std::span<float> out = arena.take<float>(MemoryKind::embedding_and_head, tensor.name, shape.count());
    std::vector<std::byte> raw;
    for (std::int64_t begin = 0; begin < shape.count(); begin += kReadElements) {
      const std::int64_t count = std::min(kReadElements, shape.count() - begin);
      read_as_f32(source, begin, out.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count)), raw, stream);
    }
    return view(static_cast<const float*>(out.data()), shape);
  }
};

}  // namespace

void load_rest(FrozenBase& base, const TensorDirectory& directory, Arena& arena, const Stream& stream) {
  const ModelSpec& spec = base.spec;
  const TensorNames& names = spec.family->names;
  const RestLoader load{spec, directory, arena, stream};
  base.embedding = load.table(names.embedding, spec.vocab, spec.tied_head);
  base.head = spec.tied_head ? base.embedding : load.table(names.heads[0], spec.vocab, true);
  if (spec.learned_positions) {
    base.positions = load.table(names.positions, spec.max_positions, true);
  }
  base.final_norm = load.norm(names.final_norm, 0, spec.hidden, spec.norm);
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    BlockRest& rest = base.rest[static_cast<std::size_t>(layer)];
    rest.attention_norm = load.norm(names.attention_norm, layer, spec.hidden, spec.norm);
    rest.mlp_norm = load.norm(names.mlp_norm, layer, spec.hidden, spec.norm);
    rest.q_norm = load.norm(names.q_norm, layer, spec.head_dim, Norm::rms);
    rest.k_norm = load.norm(names.k_norm, layer, spec.head_dim, Norm::rms);
    for (const Linear linear : kAllLinears) {
      if (const LinearShape shape = linear_shape(spec, linear); shape.out > 0 && shape.bias) {
        rest.bias[index_of(linear)] = load.vector(module_path(*spec.family, layer, linear) + ".bias", shape.out);
      }
    }
  }
}

}  // namespace lora_dist

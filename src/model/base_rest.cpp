// Reads what every rank holds whole.
#include "src/model/base_rest.h"

#include <algorithm>

#include "kernels/cast/cast.h"
#include "kernels/copy/copy.h"
#include "src/model/family.h"
#include "src/model/weight_source.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kReadElements = std::int64_t{1} << 20;  // at a time

struct RestLoader {
  const ModelSpec& spec;
  const TensorDirectory& directory;
  const BasePlace& place;

  /// A tensor in `dtype` where the operators run, read and rounded in pieces. `added`: to each element, before rounding.
  TensorView tensor(const ModelTensor& wanted, DType dtype, float added = 0.0F) const {
    const WeightSource source{&find_tensor(spec, directory, wanted), {}};
    std::int64_t count = 1;
    for (const std::int64_t dim : wanted.shape) {
      count *= dim;
    }
    const auto width = static_cast<std::int64_t>(size_of(dtype));
    const auto there = place.arena.take<std::byte>(MemoryKind::embedding_and_head, wanted.name, count * width);
    Stream host;
    host.threads = place.stream.threads;
    std::vector<std::byte> raw;
    std::vector<float> values;
    for (std::int64_t begin = 0; begin < count; begin += kReadElements) {
      const Shape piece{std::min(kReadElements, count - begin)};
      ConstTensorView from;
      if (source.tensor->dtype == dtype && added == 0.0F) {
        raw.resize(static_cast<std::size_t>(piece.count() * width));
        read_as_is(source, begin * width, raw);
        from = {raw.data(), dtype, piece};
      } else {
        values.resize(static_cast<std::size_t>(piece.count()));
        read_as_f32(source, begin, values, raw, host);
        std::for_each(values.begin(), values.end(), [&](float& value) { value += added; });
        from = view(static_cast<const float*>(values.data()), piece);
        if (dtype != DType::f32) {
          raw.resize(static_cast<std::size_t>(piece.count() * width));
          cast_cpu(from, {raw.data(), dtype, piece}, host);
          from = {raw.data(), dtype, piece};
        }
      }
      from_host(from, {there.data() + begin * width, dtype, piece}, place.stream);
    }
    return {there.data(), dtype, wanted.shape.size() == 1 ? Shape{count} : Shape{wanted.shape[0], wanted.shape[1]}};
  }

  std::span<float> vector(const std::string& name, std::int64_t width, float added = 0.0F) const {
    const TensorView there = tensor({name, {width}}, DType::f32, added);
    return {there.as<float>(), static_cast<std::size_t>(width)};
  }

  NormWeights norm(std::string_view name, std::int64_t layer, std::int64_t width, Norm kind) const {
    NormWeights norm;
    if (name.empty()) {
      return norm;
    }
    norm.weight = vector(path_of(name, layer) + ".weight", width, spec.norm_adds_one ? 1.0F : 0.0F);
    if (kind == Norm::layer) {
      norm.bias = vector(path_of(name, layer) + ".bias", width);
    }
    return norm;
  }

  ModelTensor table(std::string_view name, std::int64_t rows) const {
    return {std::string(name) + ".weight", {rows, spec.hidden}};
  }
};

}  // namespace

void load_rest(FrozenBase& base, const TensorDirectory& directory, const BasePlace& place) {
  const ModelSpec& spec = base.spec;
  const TensorNames& names = spec.family->names;
  const RestLoader load{spec, directory, place};
  const ModelTensor embedding = load.table(names.embedding, spec.vocab);
  const DType of_file = find_tensor(spec, directory, embedding).dtype;
  base.embedding = load.tensor(embedding, spec.tied_head ? place.compute_dtype : of_file);
  base.head = spec.tied_head ? base.embedding : load.tensor(load.table(names.heads[0], spec.vocab), place.compute_dtype);
  if (spec.learned_positions) {
    base.positions = load.tensor(load.table(names.positions, spec.max_positions), DType::f32);
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
        rest.bias[index_of(linear)] =
            load.tensor({module_path(*spec.family, layer, linear) + ".bias", {shape.out}}, place.compute_dtype);
      }
    }
  }
}

}  // namespace lora_dist

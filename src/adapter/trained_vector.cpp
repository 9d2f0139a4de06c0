// Lists the small tensors of a model.
#include "src/adapter/trained_vector.h"

#include <algorithm>

#include "src/model/family.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

std::string vector_path(const Family& family, const TrainedVector& vector) {
  switch (vector.site) {
    case VectorSite::bias:
      return module_path(family, vector.layer, vector.linear);
    case VectorSite::q_norm:
      return path_of(family.names.q_norm, vector.layer);
    case VectorSite::k_norm:
      return path_of(family.names.k_norm, vector.layer);
    case VectorSite::positions:
      break;
  }
  return std::string(family.names.positions);
}

std::vector<TrainedVector> all_vectors(const ModelSpec& model) {
  std::vector<TrainedVector> vectors;
  const auto add = [&](VectorSite site, std::int64_t layer, Linear linear, std::string_view name, Shape shape) {
    vectors.push_back({site, layer, linear, {.name = name, .shape = shape}});
  };
  for (std::int64_t layer = 0; layer < model.layers; ++layer) {
    if (model.head_norm || model.width_norm) {
      add(VectorSite::q_norm, layer, Linear::q, "weight", {model.width_norm ? model.query_width() : model.head_dim});
      add(VectorSite::k_norm, layer, Linear::k, "weight", {model.width_norm ? model.key_width() : model.head_dim});
    }
    for (const Linear linear : kAllLinears) {
      const LinearShape shape = linear_shape(model, linear);
      if (shape.out > 0 && shape.bias) {
        add(VectorSite::bias, layer, linear, "bias", {shape.out});
      }
    }
  }
  if (model.learned_positions) {
    add(VectorSite::positions, 0, Linear::q, "weight", {model.max_positions, model.hidden});
  }
  return vectors;
}

const TrainedVector* find_vector(const std::vector<TrainedVector>& vectors, VectorSite site, std::int64_t layer, Linear linear) {
  const auto found = std::ranges::find_if(vectors, [&](const TrainedVector& vector) {
    return vector.site == site && vector.layer == layer && (site != VectorSite::bias || vector.linear == linear);
  });
  return found == vectors.end() ? nullptr : &*found;
}

}  // namespace lora_dist

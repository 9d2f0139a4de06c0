// Makes a layout from a PEFT adapter, and copies factors in and out of the flat buffer.
#include "src/export/adapter_bridge.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "src/core/error.h"

namespace lora_dist {

namespace {

void check_shape(const AdapterMatrix& matrix, std::int64_t rows, std::int64_t cols, const std::string& name,
                 const std::string& folder) {
  if (matrix.shape != std::vector<std::int64_t>{rows, cols}) {
    throw Error(ExitCode::model,
                fmt::format("{}: tensor {} has shape [{}, {}], this model needs [{}, {}]; the adapter belongs to another model",
                            folder, name, matrix.shape[0], matrix.shape[1], rows, cols));
  }
}

}  // namespace

AdapterLayout layout_of(const PeftAdapter& adapter, const ModelSpec& model, const std::string& folder) {
  AdapterLayout layout;
  layout.family = model.family;
  layout.blocks.resize(static_cast<std::size_t>(model.layers));
  std::set<std::string> placed;
  for (std::int64_t layer = 0; layer < model.layers; ++layer) {
    for (const Linear linear : kAllLinears) {
      const std::string path = module_path(*model.family, layer, linear);
      const auto a = adapter.tensors.find(path + ".lora_A");
      const auto b = adapter.tensors.find(path + ".lora_B");
      const LinearShape shape = linear_shape(model, linear);
      if (shape.out == 0 || a == adapter.tensors.end() || b == adapter.tensors.end()) {
        continue;
      }
      const std::int64_t r = rank_of(adapter.config, path);
      check_shape(a->second, r, shape.in, a->first, folder);
      check_shape(b->second, shape.out, r, b->first, folder);
      placed.insert({a->first, b->first});
      LoraPlace place{r, static_cast<float>(scale_of(adapter.config, path)), layout.count, 0, shape.in, shape.out};
      place.b = place.a + r * shape.in;
      layout.count = place.b + shape.out * r;
      layout.blocks[static_cast<std::size_t>(layer)][index_of(linear)] = place;
    }
  }
  for (const auto& [name, matrix] : adapter.tensors) {
    if (!placed.contains(name)) {
      throw Error(ExitCode::model,
                  fmt::format("{}: tensor {} has no place in this model; the adapter belongs to another model", folder, name));
    }
  }
  return layout;
}

void copy_factors(const PeftAdapter& adapter, const AdapterLayout& layout, std::span<float> params) {
  for (const AdapterFactor& factor : adapter_factors(layout)) {
    const std::vector<float>& values = adapter.tensors.at(factor.path + "." + factor.factor).values;
    std::copy(values.begin(), values.end(), params.begin() + factor.offset);
  }
}

std::vector<AdapterTensor> adapter_tensors(const AdapterLayout& layout) {
  std::vector<AdapterTensor> tensors;
  for (const AdapterFactor& factor : adapter_factors(layout)) {
    tensors.push_back({factor.path + "." + factor.factor, {factor.rows, factor.cols}, factor.offset, factor.rows * factor.cols});
  }
  return tensors;
}

}  // namespace lora_dist

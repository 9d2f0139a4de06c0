// A frozen tensor is the upper left corner of the shared one of its name.
#include "src/adapter/frozen_tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "kernels/elementwise/slice.h"
#include "src/adapter/adapter_bridge.h"
#include "src/core/error.h"

namespace lora_dist {

namespace {

/// The widest input and output of the adapted layers.
UpdateSize widest_layer(const AdapterLayout& layout) {
  UpdateSize widest;
  for (const auto& block : layout.blocks) {
    for (const auto& adapted : block) {
      widest.in = std::max(widest.in, adapted ? adapted->in : 0);
      widest.out = std::max(widest.out, adapted ? adapted->out : 0);
    }
  }
  return widest;
}

void check_holds(const Parameter& frozen, const SharedTensors& shared, const std::string& folder) {
  const std::vector<std::int64_t>& shape = shared.at(std::string(frozen.name)).shape;
  if (shape[0] < frozen.shape[0] || shape[1] < frozen.shape[1]) {
    throw Error(ExitCode::model,
                fmt::format("{}: {} is [{}], and a layer of this model needs [{}, {}]; the adapter belongs to another model",
                            folder, frozen.name, fmt::join(shape, ", "), frozen.shape[0], frozen.shape[1]));
  }
}

}  // namespace

SharedTensors shared_tensors(const AdapterLayout& layout, const PeftConfig& config, SharedTensors held,
                             const std::string& folder) {
  if (layout.method->draw_shared == nullptr) {
    return {};
  }
  if (held.empty()) {
    const UpdateSize widest = widest_layer(layout);
    return layout.method->draw_shared(config, widest.in, widest.out);
  }
  for (const Parameter& frozen : layout.frozen) {
    check_holds(frozen, held, folder);
  }
  return held;
}

void complete_shared(PeftAdapter& adapter, const ModelSpec& model, const std::string& folder) {
  if (method_of(adapter.config.method).draw_shared != nullptr) {
    adapter.shared = shared_tensors(layout_of(adapter, model, folder), adapter.config, std::move(adapter.shared), folder);
  }
}

std::vector<float> frozen_values(const AdapterLayout& layout, const AdapterShard& part, const SharedTensors& shared) {
  std::vector<float> whole(static_cast<std::size_t>(layout.frozen_count));
  for (const Parameter& frozen : layout.frozen) {
    const AdapterMatrix& matrix = shared.at(std::string(frozen.name));
    const StridedSlice corner{frozen.shape[0], frozen.shape[1], 0, matrix.shape[1]};
    take_slice(view(std::span(matrix.values)), corner, view(whole.data() + frozen.offset, {frozen.shape.count()}), Stream{});
  }
  if (part.frozen.empty()) {
    return whole;
  }
  std::vector<float> values(static_cast<std::size_t>(part.layout.frozen_count));
  for (const ParameterShard& slice : part.frozen) {
    take_slice(view(std::span<const float>(whole)), slice.in_whole,
               view(values.data() + slice.offset, {slice.in_whole.elements()}), Stream{});
  }
  return values;
}

std::int64_t shared_bytes(const AdapterLayout& layout) {
  if (layout.frozen.empty()) {
    return 0;
  }
  const UpdateSize widest = widest_layer(layout);
  const std::int64_t rank = layout.frozen.front().shape[0];  // of A, the first
  return rank * (widest.in + widest.out) * static_cast<std::int64_t>(sizeof(float));
}

}  // namespace lora_dist

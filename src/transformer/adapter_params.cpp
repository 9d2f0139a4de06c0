// Casts parameters; fetches block after block for those that are made from weights.
#include "src/transformer/adapter_params.h"

#include <vector>

#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "src/adapter/frozen_tensors.h"
#include "src/core/activity.h"

namespace lora_dist {

namespace {

/// The values, or their copy in `copies`.
ConstTensorView in_compute_dtype(const ForwardContext& model, std::span<const float> values, const TensorView& copies) {
  const ConstTensorView exact = view(values);
  if (model.workspace->compute_dtype == DType::f32 || values.empty()) {
    return exact;
  }
  const TensorView narrow{copies.data, copies.dtype, exact.shape};
  cast(exact, narrow, model.stream);
  return narrow;
}

}  // namespace

ConstTensorView cast_params(const ForwardContext& model) {
  return in_compute_dtype(model, model.params, model.workspace->params);
}

ConstTensorView cast_initial(const ForwardContext& model) {
  return in_compute_dtype(model, model.initial, model.workspace->initial);
}

void fill_frozen(const AdapterLayout& layout, const AdapterShard& part, const SharedTensors& shared, const Workspace& workspace,
                 const Stream& stream) {
  if (layout.frozen_count == 0) {
    return;
  }
  const std::vector<float> values = frozen_values(layout, part, shared);
  const Shape all{std::ssize(values)};
  std::vector<std::byte> bytes(values.size() * size_of(workspace.frozen.dtype));
  const TensorView narrow{bytes.data(), workspace.frozen.dtype, all};
  cast(view(std::span(values)), narrow, Stream{});
  from_host(narrow, workspace.frozen, stream);
}

void initialize_from_base(const ForwardContext& model, std::span<float> params) {
  const AdapterLayout& layout = *model.layout;
  if (layout.method->initialize_from_base == nullptr) {
    return;
  }
  LinearContext context;
  context.params = cast_params(model);
  context.params_f32 = view(model.params);
  context.scratch = model.workspace->scratch;
  context.window = model.window;
  context.stream = model.stream;
  context.tensor = model.tensor;
  for (std::int64_t layer = 0; layer < model.base->spec.layers; ++layer) {
    const BlockWeights weights = model.window->acquire(layer);
    heartbeat();
    for (const Linear linear : kAllLinears) {
      const std::size_t i = index_of(linear);
      if (const auto& adapted = layout.blocks[static_cast<std::size_t>(layer)][i]) {
        layout.method->initialize_from_base({weights[i], {}, &*adapted, static_cast<std::uint32_t>(layer), linear}, context,
                                            params);
      }
    }
    model.window->release(layer);
  }
}

}  // namespace lora_dist

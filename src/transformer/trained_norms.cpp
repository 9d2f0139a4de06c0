// Looks up norms in the flat buffer.
#include "src/transformer/trained_norms.h"

#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/norm_gradient/norm_gradient.h"

namespace lora_dist {

const NormWeights& frozen_norm(const FrozenBase& base, NormSite site, std::int64_t layer) {
  const BlockRest& rest = base.rest[static_cast<std::size_t>(layer)];
  switch (site) {
    case NormSite::attention:
      return rest.attention_norm;
    case NormSite::mlp:
      return rest.mlp_norm;
    case NormSite::attention_out:
      return rest.attention_out_norm;
    case NormSite::mlp_out:
      return rest.mlp_out_norm;
    case NormSite::last:
      break;
  }
  return base.final_norm;
}

namespace {

/// The norm that a site applies: one norm may serve attention and MLP.
const TrainedNorm* trained_norm(const ForwardContext& model, NormSite site, std::int64_t layer) {
  const bool shares = site == NormSite::mlp && model.base->spec.shared_norm;
  return find_norm(model.layout->norms, shares ? NormSite::attention : site, layer);
}

/// The parameter's part of workspace.norms.
std::span<float> applied(const ForwardContext& model, const Parameter& parameter) {
  const std::int64_t first = parameter.offset - model.layout->first_of_norms();
  return model.workspace->norms.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(parameter.shape.count()));
}

}  // namespace

void apply_trained_norms(const ForwardContext& model) {
  const Workspace& workspace = *model.workspace;
  if (model.layout->norms.empty()) {
    return;
  }
  const auto first = static_cast<std::size_t>(model.layout->first_of_norms());
  copy(view(model.params.subspan(first, workspace.norms.size())), view(workspace.norms), model.stream);
  if (model.base->spec.norm_adds_one) {
    for (const TrainedNorm& norm : model.layout->norms) {
      add_to(view(workspace.ones), view(applied(model, norm.parameters[0])), model.stream);
    }
  }
}

NormWeights norm_weights(const ForwardContext& model, NormSite site, std::int64_t layer) {
  NormWeights weights = frozen_norm(*model.base, site, layer);
  if (const TrainedNorm* trained = trained_norm(model, site, layer)) {
    weights.weight = applied(model, trained->parameters[0]);
    if (trained->parameters.size() > 1) {
      weights.bias = applied(model, trained->parameters[1]);
    }
  }
  return weights;
}

void add_norm_gradient(const ForwardContext& model, NormSite site, std::int64_t layer, const NormRows& rows,
                       std::span<float> grads) {
  const TrainedNorm* const trained = trained_norm(model, site, layer);
  const bool contributes = !rows.shared || model.tensor == nullptr || model.tensor->rank() == 0;
  if (trained == nullptr || !contributes) {
    return;
  }
  const bool centred = !frozen_norm(*model.base, site, layer).bias.empty();  // LayerNorm
  norm_gradient({.dy = rows.dy,
                 .x = rows.x,
                 .mean = centred ? ConstTensorView(rows.saved.mean) : ConstTensorView(),
                 .rstd = rows.saved.rstd,
                 .dweight = gradient_in(grads, trained->parameters[0]),
                 .dbias = trained->parameters.size() > 1 ? gradient_in(grads, trained->parameters[1]) : TensorView()},
                model.stream);
}

void zero_added_gradients(const ForwardContext& model, std::span<float> grads) {
  const AdapterLayout& layout = *model.layout;
  const bool adds = !layout.norms.empty() || !layout.bottlenecks.all.empty() || !layout.tables.empty() || !layout.vectors.empty();
  if (!grads.empty() && adds) {
    zero(view(grads), model.stream);
  }
}

}  // namespace lora_dist

// The adapter's parameters as the blocks read them, and those whose first value comes from the base.
#pragma once

#include <span>

#include "kernels/common/tensor_view.h"
#include "src/adapter/adapter_shard.h"
#include "src/adapter/peft_adapter.h"
#include "src/transformer/forward_context.h"

namespace lora_dist {

/// The parameters in the compute dtype: model.params, or a copy in the workspace.
ConstTensorView cast_params(const ForwardContext& model);
/// The same of their initial values, if the layout's linears are residual; else null.
ConstTensorView cast_initial(const ForwardContext& model);

/// Fills workspace.frozen with the shard of the adapter's shared tensors. `layout`: of the whole adapter; `part`: of this TP
/// rank.
void fill_frozen(const AdapterLayout& layout, const AdapterShard& part, const SharedTensors& shared, const Workspace& workspace,
                 const Stream& stream);

/// Fills the parameters with from_base in `params`, the same memory as model.params, block by block as a forward pass fetches the
/// weights. Collective over all ranks, like a forward pass.
void initialize_from_base(const ForwardContext& model, std::span<float> params);

}  // namespace lora_dist

// Calls the operators of virtual rows with an adapter's parameter.
#include "src/transformer/virtual_tokens.h"

#include "kernels/elementwise/copy.h"
#include "kernels/virtual_rows/virtual_rows.h"

namespace lora_dist {

namespace {

const VirtualTokens& tokens_of(const ForwardContext& model) { return model.layout->virtual_tokens; }

ConstTensorView table_of(const ForwardContext& model) {
  const Parameter& parameter = tokens_of(model).parameter;
  return view(model.params.data() + parameter.offset, parameter.shape);
}

TensorView gradient_of_table(const BlockContext& block) { return gradient_of(block.linears, tokens_of(block.model).parameter); }

bool has_virtual_keys(const BlockContext& block) {
  return block.batch.virtual_tokens > 0 && tokens_of(block.model).place == VirtualPlace::keys_and_values;
}

/// Columns of the block's keys (0) or values (1) in the table.
VirtualRows rows_of_keys(const BlockContext& block, std::int64_t which) {
  return {block.batch.cu_seqlens, 0, (2 * block.layer + which) * block.spec().key_width()};
}

}  // namespace

bool trains_input(const AdapterLayout& layout) { return layout.virtual_tokens.place == VirtualPlace::input; }

void put_virtual_input(const ForwardContext& model, const DeviceMicroBatch& batch, const TensorParallel& tp, TensorView hidden) {
  if (batch.virtual_tokens > 0 && trains_input(*model.layout)) {
    put_virtual_rows(table_of(model), {batch.cu_seqlens, tp.first_token()}, hidden, model.stream);
  }
}

void take_virtual_input(const BlockContext& block) {
  if (!trains_input(*block.model.layout)) {
    return;
  }
  const TensorParallel& tp = block.tp;
  if (tp.sequence_parallel() || tp.adds_residual()) {  // else every rank has the gradient of all rows, and one of them counts
    const ModelSpec& spec = block.spec();
    const float scale = spec.embedding_scale_of_model ? spec.embedding_scale : 1.0F;
    take_virtual_rows(block.hidden_gradient(), {block.batch.cu_seqlens, tp.first_token()}, scale, gradient_of_table(block),
                      block.stream());
  } else {
    zero(gradient_of_table(block), block.stream());
  }
}

void put_virtual_keys(const BlockContext& block, TensorView k, TensorView v) {
  if (has_virtual_keys(block)) {
    put_virtual_rows(table_of(block.model), rows_of_keys(block, 0), k, block.stream());
    put_virtual_rows(table_of(block.model), rows_of_keys(block, 1), v, block.stream());
  }
}

void take_virtual_keys(const BlockContext& block, TensorView dk, TensorView dv) {
  if (has_virtual_keys(block)) {
    take_virtual_rows(dk, rows_of_keys(block, 0), 1.0F, gradient_of_table(block), block.stream());
    take_virtual_rows(dv, rows_of_keys(block, 1), 1.0F, gradient_of_table(block), block.stream());
  }
}

}  // namespace lora_dist

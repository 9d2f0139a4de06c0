// Operator calls of the base's own gradients.
#include "src/transformer/base_gradients.h"

#include <algorithm>

#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/embedding/embedding_gradient.h"
#include "kernels/fixed_point/fixed_point.h"
#include "kernels/matmul/matmul.h"
#include "kernels/norm_gradient/norm_gradient.h"
#include "kernels/reduce/reduce.h"

namespace lora_dist {

namespace {

/// Adds the gradient in base.gradient, of `elements` from `first` of the unit on.
void add_to_unit(const ForwardContext& model, std::int64_t first, std::int64_t elements, std::size_t micro_batch) {
  BaseGradients& gradients = *model.base_gradients;
  gradients.bad[micro_batch] += fixed_point_add(view(gradients.base.gradient.data(), {elements}), gradients.factor,
                                                unit_gradient(gradients.base, first, elements), gradients.limit, model.stream);
}

TensorView gradient_rows(const ForwardContext& model, std::int64_t rows, std::int64_t cols) {
  return view(model.base_gradients->base.gradient.data(), {rows, cols});
}

}  // namespace

void begin_block_gradients(const ForwardContext& model, std::int64_t layer) {
  if (model.base_gradients != nullptr) {
    const TrainedBase& base = model.base_gradients->base;
    begin_unit(base, base.blocks[static_cast<std::size_t>(layer)], model.stream);
  }
}

void end_block_gradients(const ForwardContext& model, std::int64_t layer) {
  if (model.base_gradients != nullptr) {
    const TrainedBase& base = model.base_gradients->base;
    end_unit(base, base.blocks[static_cast<std::size_t>(layer)], model.stream);
  }
}

void add_linear_gradient(const BlockContext& block, Linear linear, ConstTensorView dy, ConstTensorView x) {
  const ForwardContext& model = block.model;
  if (model.base_gradients == nullptr) {
    return;
  }
  const auto layer = static_cast<std::size_t>(block.layer);
  if (model.base_gradients->base.matrices.linears[layer][index_of(linear)]) {
    const WeightLayout& weight = model.base->layouts[layer].weights[index_of(linear)];
    matmul({.a = dy, .op_a = Transpose::yes, .b = x, .c = gradient_rows(model, weight.rows, weight.cols)}, model.stream);
    add_to_unit(model, first_element(weight), weight.rows * weight.cols, block.micro_batch);
  }
  const TrainedVector* const bias = find_vector(model.layout->vectors, VectorSite::bias, block.layer, linear);
  if (bias != nullptr && bias->parameter.shape.count() > 0) {  // of a linear cut by inputs one rank has the bias
    column_sums(dy, gradient_in(block.linears.grads, bias->parameter), model.stream);
  }
}

void add_head_norm_gradient(const BlockContext& block, VectorSite site, ConstTensorView dy, ConstTensorView x,
                            ConstTensorView rstd) {
  if (const TrainedVector* const norm = find_vector(block.model.layout->vectors, site, block.layer)) {
    norm_gradient(
        {.dy = dy, .x = x, .mean = {}, .rstd = rstd, .dweight = gradient_in(block.linears.grads, norm->parameter), .dbias = {}},
        block.stream());
  }
}

namespace {

/// The head's chunk, if the head is trained; null: it is not.
const TrainedUnit* unit_of_head(const ForwardContext& model, std::int64_t chunk) {
  if (model.base_gradients == nullptr) {
    return nullptr;
  }
  const TrainedUnit& unit = model.base_gradients->base.units_of_head()[static_cast<std::size_t>(chunk)];
  return unit.trained ? &unit : nullptr;
}

}  // namespace

void begin_head_gradients(const ForwardContext& model, std::int64_t chunk) {
  if (const TrainedUnit* const unit = unit_of_head(model, chunk)) {
    begin_unit(model.base_gradients->base, *unit, model.stream);
  }
}

void end_head_gradients(const ForwardContext& model, std::int64_t chunk) {
  if (const TrainedUnit* const unit = unit_of_head(model, chunk)) {
    end_unit(model.base_gradients->base, *unit, model.stream);
  }
}

void begin_head_rows(const ForwardContext& model, std::int64_t chunk) {
  if (unit_of_head(model, chunk) != nullptr) {
    zero(gradient_rows(model, model.base->head.chunk(chunk).size(), model.base->head.cols), model.stream);
  }
}

void add_head_rows(const ForwardContext& model, const HeadRows& rows) {
  if (unit_of_head(model, 0) != nullptr) {
    head_gradient(model, rows.dlogits, rows.normed, gradient_rows(model, rows.dlogits.cols(), rows.normed.cols()));
  }
}

void end_head_rows(const ForwardContext& model, std::int64_t chunk, std::size_t micro_batch) {
  if (unit_of_head(model, chunk) != nullptr) {
    add_to_unit(model, 0, model.base->head.chunk(chunk).size() * model.base->head.cols, micro_batch);
  }
}

namespace {

/// Tokens' gradients are those of all rows that they looked up.
void add_table_gradient(const ForwardContext& model, std::int64_t chunk, std::span<const EmbeddedBatch> batches) {
  const VocabTable& table = model.base->embedding;
  const TrainedBase& base = model.base_gradients->base;
  const TrainedUnit& unit = base.embedding[static_cast<std::size_t>(chunk)];
  const TensorView rows = gradient_rows(model, table.chunk(chunk).size(), table.cols);
  const std::int64_t first = model.base->tp.vocab.begin + table.chunk(chunk).begin;
  begin_unit(base, unit, model.stream);
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const EmbeddedBatch& batch = batches[i];
    if (batch.batch.tokens > 0) {
      zero(rows, model.stream);
      const TensorView all = gather_shard(batch.tp, batch.buffers.hidden_gradient.rows(batch.tp.shard_tokens()));
      const TensorView dhidden{all.data, all.dtype, {batch.batch.tokens, table.cols}};
      embedding_gradient(batch.batch.ids, first, dhidden, model.base->spec.embedding_scale, rows, model.stream);
      add_to_unit(model, 0, rows.count(), i);
    }
  }
  end_unit(base, unit, model.stream);
}

/// Each TP rank adds its own tokens; if all have all tokens, one of them does.
void add_position_gradient(const ForwardContext& model, const EmbeddedBatch& batch, std::span<float> grads) {
  const TrainedVector* const positions = find_vector(model.layout->vectors, VectorSite::positions, 0);
  const TensorParallel& tp = batch.tp;
  const std::int64_t count = std::min(tp.shard_tokens(), tp.tokens - tp.first_token());
  const bool contributes = tp.sequence_parallel() || model.tensor == nullptr || model.tensor->rank() == 0;
  if (positions == nullptr || count <= 0 || !contributes) {
    return;
  }
  const auto* rows = batch.batch.positions.as<std::int32_t>() + tp.first_token();
  const TensorView dhidden = batch.buffers.hidden_gradient.rows(count);
  embedding_gradient(view(rows, {count}), 0, dhidden, 1.0F, gradient_in(grads, positions->parameter), model.stream);
}

}  // namespace

void add_embedding_gradients(const ForwardContext& model, std::span<const EmbeddedBatch> batches,
                             std::span<const std::span<float>> grads) {
  if (model.base_gradients == nullptr) {
    return;
  }
  for (std::size_t i = 0; i < batches.size(); ++i) {
    if (batches[i].batch.tokens > 0) {
      add_position_gradient(model, batches[i], grads[i]);
    }
  }
  for (std::int64_t chunk = 0; model.base_gradients->base.matrices.embedding && chunk < model.base->embedding.chunks; ++chunk) {
    add_table_gradient(model, chunk, batches);
  }
}

namespace {

/// Where forward reads the vector.
TensorView place_of(const FrozenBase& base, const TrainedVector& vector) {
  const auto writable = [](const ConstTensorView& of) { return TensorView{const_cast<void*>(of.data), of.dtype, of.shape}; };
  if (vector.site == VectorSite::positions) {
    return writable(base.positions);
  }
  const BlockRest& rest = base.rest[static_cast<std::size_t>(vector.layer)];
  if (vector.site == VectorSite::bias) {
    return writable(rest.bias[index_of(vector.linear)]);
  }
  return view((vector.site == VectorSite::q_norm ? rest.q_norm : rest.k_norm).weight);
}

}  // namespace

void put_trained_vectors(const ForwardContext& model, std::span<const float> params) {
  for (const TrainedVector& vector : model.layout->vectors) {
    const std::int64_t count = vector.parameter.shape.count();
    if (count == 0) {
      continue;
    }
    const ConstTensorView values = view(params.data() + vector.parameter.offset, {count});
    const TensorView there = place_of(*model.base, vector);
    const TensorView flat{there.data, there.dtype, {count}};
    if (there.dtype == DType::f32) {
      copy(values, flat, model.stream);
    } else {
      cast(values, flat, model.stream);
    }
    if (model.base->spec.norm_adds_one && (vector.site == VectorSite::q_norm || vector.site == VectorSite::k_norm)) {
      add_to(view(model.workspace->ones.first(static_cast<std::size_t>(count))), flat, model.stream);
    }
  }
}

}  // namespace lora_dist

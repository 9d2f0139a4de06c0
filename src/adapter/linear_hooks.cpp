// Helpers of all methods' hooks: the frozen product, dropout of the adapter's input, views of the flat buffers.
#include "src/adapter/linear_hooks.h"

#include "kernels/dropout/dropout.h"

namespace lora_dist {

namespace {

DropoutKey dropout_key(const LinearLayer& layer, const LinearContext& context) {
  return {context.dropout.seed, context.dropout.step, layer.layer, static_cast<std::uint32_t>(layer.linear),
          static_cast<std::uint32_t>(layer.adapted->first_in)};
}

void progress(const LinearContext& context) {
  if (context.window != nullptr) {
    context.window->progress();
  }
}

}  // namespace

ConstTensorView dequantized(const LinearLayer& layer, const LinearContext& context) {
  return dequantize(layer.weight, context.scratch.weight, context.scratch.absmax, context.stream);
}

SavedByAdapter rows_of(const SavedByAdapter& saved, const TokenRange& tokens) {
  return {rows_of(saved.rows, tokens), saved.output.data == nullptr ? saved.output : rows_of(saved.output, tokens)};
}

LinearContext of_tokens(const LinearContext& context, const TokenRange& tokens) {
  LinearContext part = context;
  const auto some = [&](const ConstTensorView& ids) { return view(ids.as<std::int32_t>() + tokens.first, {tokens.count}); };
  part.sample_ids = some(context.sample_ids);
  part.positions = some(context.positions);
  return part;
}

void frozen_product(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const Added& added, TensorView y) {
  const ConstTensorView w = dequantized(layer, context);
  progress(context);
  matmul({.a = x, .b = w, .op_b = Transpose::yes, .added = added, .c = y}, context.stream);
  progress(context);
}

void frozen_product_backward(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy, TensorView dx,
                             bool add) {
  const ConstTensorView w = dequantized(layer, context);
  progress(context);
  matmul({.a = dy, .b = w, .added = {.beta = add ? 1.0F : 0.0F}, .c = dx}, context.stream);
  progress(context);
}

namespace {

ConstTensorView part_of(const ConstTensorView& buffer, const Parameter& parameter) {
  const auto* first = static_cast<const std::byte*>(buffer.data);
  return {first + static_cast<std::size_t>(parameter.offset) * size_of(buffer.dtype), buffer.dtype, parameter.shape};
}

}  // namespace

ConstTensorView values_of(const LinearContext& context, const Parameter& parameter) { return part_of(context.params, parameter); }

ConstTensorView initial_values_of(const LinearContext& context, const Parameter& parameter) {
  return part_of(context.initial, parameter);
}

ConstTensorView frozen_values_of(const LinearContext& context, const Parameter& frozen) {
  return part_of(context.frozen, frozen);
}

ConstTensorView exact_values_of(const LinearContext& context, const Parameter& parameter) {
  return view(context.params_f32.as<float>() + parameter.offset, parameter.shape);
}

TensorView gradient_of(const LinearContext& context, const Parameter& parameter) { return gradient_in(context.grads, parameter); }

ConstTensorView dropped_input(const LinearLayer& layer, const LinearContext& context, ConstTensorView x) {
  if (context.dropout.p == 0.0F) {
    return x;
  }
  const TensorView out = front_of(context.scratch.dropped, x.shape);
  dropout(x, context.sample_ids, context.positions, context.dropout.p, dropout_key(layer, context), out, context.stream);
  return out;
}

void dropped_input_backward(const LinearLayer& layer, const LinearContext& context, ConstTensorView dropped_dx, TensorView dx,
                            bool add) {
  (add ? dropout_backward : dropout)(dropped_dx, context.sample_ids, context.positions, context.dropout.p,
                                     dropout_key(layer, context), dx, context.stream);
}

TensorView front_of(const TensorView& scratch, Shape shape) {
  require(shape.count() <= scratch.count(), "a scratch buffer is too small");
  return {scratch.data, scratch.dtype, shape};
}

}  // namespace lora_dist

// DoRA (Liu et al. 2024, arXiv:2402.09353): the rows of W + scale * B A keep their direction and get trained magnitudes m.
//   V = W + scale * B A,  n = |row of V| (no gradient flows through it),  c = m / n,  u = V dropout(x)
//   y = W (x - dropout(x)) + c * u + bias,  which without dropout is c * (V x) + bias
// as PEFT computes it: y = W x + bias + (c - 1) * W dropout(x) + c * scale * B A dropout(x).
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/reduce/reduce.h"
#include "kernels/scale/scale.h"
#include "src/adapter/lora_factors.h"
#include "src/adapter/method.h"

namespace lora_dist {

namespace {

const Parameter& magnitude(const AdaptedLinear& linear) { return linear.parameters[2]; }

std::vector<Parameter> parameters(std::int64_t in, std::int64_t out, std::int64_t r) {
  std::vector<Parameter> all = lora_parameters(in, out, r);
  all.push_back({"lora_magnitude_vector", {out}, TpCut::outputs});
  return all;
}

/// A layer's intermediate results in LinearScratch::method.
struct DoraScratch {
  TensorView inverse_norms;  // f32 [out]: 1 / n
  TensorView scales;         // f32 [out]: c
  TensorView merged;         // [out, in]: V
  TensorView wide;           // [tokens, out]: c * dy, or u
  TensorView dz;             // [tokens, r]
};

std::int64_t scratch_elements(const AdaptedLinear& linear, std::int64_t tokens) {
  return 2 * linear.out + linear.out * linear.in + tokens * (linear.out + linear.r);
}

DoraScratch scratch_of(const LinearLayer& layer, const LinearContext& context, std::int64_t tokens) {
  const AdaptedLinear& linear = *layer.adapted;
  const TensorView& all = context.scratch.method;
  require(scratch_elements(linear, tokens) <= all.count(), "a scratch buffer is too small");
  auto* next = static_cast<std::byte*>(all.data);
  const auto carve = [&](DType dtype, Shape shape) {
    const TensorView part{next, dtype, shape};
    next += static_cast<std::size_t>(shape.count()) * size_of(dtype);
    return part;
  };
  DoraScratch made;
  made.inverse_norms = carve(DType::f32, {linear.out});
  made.scales = carve(DType::f32, {linear.out});
  made.merged = carve(all.dtype, {linear.out, linear.in});
  made.wide = carve(all.dtype, {tokens, linear.out});
  made.dz = carve(all.dtype, {tokens, linear.r});
  return made;
}

TensorView as_row(const TensorView& x) { return {x.data, x.dtype, {1, x.count()}}; }

/// V, 1 / n and c. Rows of V are whole: TP ranks that cut a layer by its inputs would have to add up parts of n.
void merge(const LinearLayer& layer, const LinearContext& context, const DoraScratch& scratch) {
  const AdaptedLinear& linear = *layer.adapted;
  require(layer.weight.layout->cols == layer.weight.layout->whole_cols, "DoRA on a layer that TP ranks cut by inputs");
  require(context.params.dtype == DType::f32, "DoRA in 16 bits, which would round V and m");
  const ConstTensorView w = dequantize(layer.weight, context.scratch.weight, context.scratch.absmax, context.stream);
  matmul({.a = values_of(context, lora_b(linear)),
          .b = values_of(context, lora_a(linear)),
          .alpha = linear.scale,
          .added = {1.0F, w, {}},
          .c = scratch.merged},
         context.stream);
  inverse_row_norms(scratch.merged, scratch.inverse_norms, context.stream);
  const ConstTensorView m = values_of(context, magnitude(linear));
  const TensorView c = as_row(scratch.scales);
  copy(m, scratch.scales, context.stream);
  scale_columns(c, scratch.inverse_norms, {}, c, context.stream);
}

void forward(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, TensorView z, TensorView y,
             ConstTensorView residual) {
  const DoraScratch scratch = scratch_of(layer, context, x.rows());
  merge(layer, context, scratch);
  save_lora_z(layer, context, x, z);
  const ConstTensorView dropped = dropped_input(layer, context, x);
  matmul({.a = dropped, .b = scratch.merged, .op_b = Transpose::yes, .c = scratch.wide}, context.stream);
  if (context.dropout.p == 0.0F) {
    scale_columns(scratch.wide, scratch.scales, {residual, layer.bias}, y, context.stream);
    return;
  }
  const TensorView rest = front_of(context.scratch.dropped, x.shape);  // x - dropout(x)
  scale(rest, -1.0F, context.stream);
  add_to(x, rest, context.stream);
  frozen_product(layer, context, rest, {residual.data == nullptr ? 0.0F : 1.0F, residual, layer.bias}, y);
  scale_columns(scratch.wide, scratch.scales, {y, {}}, y, context.stream);
}

/// wide = c * dy; dz = scale * wide B.
void begin_backward(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy) {
  const DoraScratch scratch = scratch_of(layer, context, dy.rows());
  merge(layer, context, scratch);
  scale_columns(dy, scratch.scales, {}, scratch.wide, context.stream);
  matmul({.a = scratch.wide, .b = values_of(context, lora_b(*layer.adapted)), .alpha = layer.adapted->scale, .c = scratch.dz},
         context.stream);
}

/// dx = wide V without dropout; else dx = dy W + mask * (wide V - dy W).
void input_gradient(const LinearLayer& layer, const LinearContext& context, const TokenRange& tokens, ConstTensorView dy,
                    TensorView dx, InputGradient how) {
  const LinearContext part = of_tokens(context, tokens);
  const DoraScratch scratch = scratch_of(layer, context, dy.rows());
  const ConstTensorView wide = rows_of(scratch.wide, tokens);
  const TensorView dx_rows = rows_of(dx, tokens);
  const bool add = how == InputGradient::add;
  if (context.dropout.p == 0.0F) {
    matmul({.a = wide, .b = scratch.merged, .added = {.beta = add ? 1.0F : 0.0F}, .c = dx_rows}, context.stream);
    return;
  }
  const TensorView of_dropped = front_of(context.scratch.dropped, dx_rows.shape);
  frozen_product_backward(layer, part, rows_of(dy, tokens), of_dropped, false);
  add ? add_to(of_dropped, dx_rows, context.stream) : copy(of_dropped, dx_rows, context.stream);
  matmul({.a = wide, .b = scratch.merged, .added = {.beta = -1.0F}, .c = of_dropped}, context.stream);
  dropped_input_backward(layer, part, of_dropped, dx_rows, true);
}

/// dB = scale * wide^T z; dA = dz^T dropout(x); dm = sum over tokens of dy * u, / n.
void parameter_gradients(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy, ConstTensorView x,
                         ConstTensorView z) {
  const AdaptedLinear& linear = *layer.adapted;
  const DoraScratch scratch = scratch_of(layer, context, dy.rows());
  const ConstTensorView dropped = dropped_input(layer, context, x);
  matmul({.a = scratch.wide, .op_a = Transpose::yes, .b = z, .alpha = linear.scale, .c = gradient_of(context, lora_b(linear))},
         context.stream);
  matmul({.a = scratch.dz, .op_a = Transpose::yes, .b = dropped, .c = gradient_of(context, lora_a(linear))}, context.stream);
  matmul({.a = dropped, .b = scratch.merged, .op_b = Transpose::yes, .c = scratch.wide}, context.stream);
  const TensorView dm = gradient_of(context, magnitude(linear));
  column_dots(dy, scratch.wide, dm, context.stream);
  scale_columns(as_row(dm), scratch.inverse_norms, {}, as_row(dm), context.stream);
}

}  // namespace

const AdapterMethod& dora_method() {
  static constexpr AdapterMethod method = {
      "dora",
      parameters,
      initialize_lora,  // the caller initialises the magnitudes with W's row norms
      {lora_saved_width, scratch_elements, forward, save_lora_z, begin_backward, input_gradient, parameter_gradients}};
  return method;
}

}  // namespace lora_dist

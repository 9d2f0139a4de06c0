// DoRA (Liu et al. 2024, arXiv:2402.09353): the rows of W + scale * B A keep their direction and get trained magnitudes m.
//   V = W + scale * B A,  n = |row of V| (no gradient flows through it),  c = m / n,  u = V dropout(x)
//   y = W (x - dropout(x)) + c * u + bias,  which without dropout is c * (V x) + bias
// as PEFT computes it: y = W x + bias + (c - 1) * W dropout(x) + c * scale * B A dropout(x).
// V is never formed: V x = W x + scale * B (A x), and for a row w of W and b of B,
//   n^2 = |w|^2 + b (2 scale * A w + scale^2 * A A^T b).
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/reduce/reduce.h"
#include "kernels/scale/scale.h"
#include "src/adapter/dora_folder.h"
#include "src/adapter/lora_factors.h"
#include "src/adapter/method.h"
#include "src/adapter/tensor_roles.h"

namespace lora_dist {

namespace {

const Parameter& magnitude(const AdaptedLinear& linear) { return linear.parameters[2]; }

std::vector<Parameter> parameters(const LinearTraits& linear) {
  std::vector<Parameter> all = lora_parameters(linear);
  all.push_back({kMagnitude, {linear.out}, TpCut::outputs, 0, true});
  return all;
}

/// A layer's intermediate results in LinearScratch::method.
struct DoraScratch {
  TensorView inverse_norms;  // f32 [out]: 1 / n
  TensorView scales;         // f32 [out]: c
  TensorView of_rows;        // [out, r]: 2 scale * W A^T + scale^2 * B A A^T
  TensorView gram;           // [r, r]: A A^T
  TensorView wide;           // [tokens, out]: c * dy, or u
  TensorView dz;             // [tokens, r]
};

std::int64_t scratch_elements(const AdaptedLinear& linear, std::int64_t tokens) {
  const std::int64_t f32_in_any_dtype = 2;  // an f32 takes the room of two elements of 16 bits
  return f32_in_any_dtype * 2 * linear.out + linear.r * (linear.out + linear.r) + tokens * (linear.out + linear.r);
}

std::int64_t saved_output_width(const AdaptedLinear& linear) { return linear.out; }

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
  made.of_rows = carve(all.dtype, {linear.out, linear.r});
  made.gram = carve(all.dtype, {linear.r, linear.r});
  made.wide = carve(all.dtype, {tokens, linear.out});
  made.dz = carve(all.dtype, {tokens, linear.r});
  return made;
}

TensorView as_row(const TensorView& x) { return {x.data, x.dtype, {1, x.count()}}; }

/// n^2 of each row. A shard of the inputs has the addends of its columns, and W A^T and A A^T are sums over columns too: the
/// ranks' n^2 add up.
void square_norms(const LinearLayer& layer, const LinearContext& context, const DoraScratch& scratch) {
  const AdaptedLinear& linear = *layer.adapted;
  const ConstTensorView w = dequantized(layer, context);
  const ConstTensorView a = values_of(context, lora_a(linear));
  const ConstTensorView b = values_of(context, lora_b(linear));
  matmul({.a = w, .b = a, .op_b = Transpose::yes, .c = scratch.of_rows}, context.stream);
  matmul({.a = a, .b = a, .op_b = Transpose::yes, .c = scratch.gram}, context.stream);
  matmul({.a = b,
          .b = scratch.gram,
          .alpha = linear.scale * linear.scale,
          .added = {.beta = 2.0F * linear.scale},
          .c = scratch.of_rows},
         context.stream);
  row_dots(w, w, false, scratch.inverse_norms, context.stream);
  row_dots(b, scratch.of_rows, true, scratch.inverse_norms, context.stream);
  if (context.tensor != nullptr && layer.weight.layout->cols != layer.weight.layout->whole_cols) {
    context.tensor->all_reduce_sum(scratch.inverse_norms, WireKind::tensor_activation);
  }
}

/// 1 / n and c.
void norm_rows(const LinearLayer& layer, const LinearContext& context, const DoraScratch& scratch) {
  square_norms(layer, context, scratch);
  inverse_roots(scratch.inverse_norms, context.stream);
  const TensorView c = as_row(scratch.scales);
  copy(exact_values_of(context, magnitude(*layer.adapted)), scratch.scales, context.stream);
  scale_columns(c, scratch.inverse_norms, {}, c, context.stream);
}

void begin_forward(const LinearLayer& layer, const LinearContext& context) {
  norm_rows(layer, context, scratch_of(layer, context, 0));
}

/// u = W dropout(x) + scale * B z.
void make_u(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const SavedByAdapter& saved,
            TensorView u) {
  save_lora_z(layer, context, x, saved);
  matmul({.a = saved.rows,
          .b = values_of(context, lora_b(*layer.adapted)),
          .op_b = Transpose::yes,
          .alpha = layer.adapted->scale,
          .c = u},
         context.stream);
  // save_lora_z has left dropout(x) in the scratch
  const ConstTensorView dropped = context.dropout.p == 0.0F ? x : ConstTensorView(front_of(context.scratch.dropped, x.shape));
  frozen_product(layer, context, dropped, {1.0F, {}, {}}, u);
}

void forward(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const SavedByAdapter& saved, TensorView y,
             ConstTensorView residual) {
  const TensorView scales = scratch_of(layer, context, 0).scales;
  const TensorView u = saved.output.data == nullptr ? y : saved.output;
  make_u(layer, context, x, saved, u);
  if (context.dropout.p == 0.0F) {
    scale_columns(u, scales, {residual, layer.bias}, y, context.stream);
    return;
  }
  require(saved.output.data != nullptr, "DoRA with dropout outside of training");
  const TensorView rest = front_of(context.scratch.dropped, x.shape);  // x - dropout(x)
  scale(rest, -1.0F, context.stream);
  add_to(x, rest, context.stream);
  frozen_product(layer, context, rest, {residual.data == nullptr ? 0.0F : 1.0F, residual, layer.bias}, y);
  scale_columns(u, scales, {y, {}}, y, context.stream);
}

void save_again(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const SavedByAdapter& saved) {
  make_u(layer, context, x, saved, saved.output);
}

/// wide = c * dy; dz = scale * wide B.
void begin_backward(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy) {
  const DoraScratch scratch = scratch_of(layer, context, dy.rows());
  norm_rows(layer, context, scratch);
  scale_columns(dy, scratch.scales, {}, scratch.wide, context.stream);
  matmul({.a = scratch.wide, .b = values_of(context, lora_b(*layer.adapted)), .alpha = layer.adapted->scale, .c = scratch.dz},
         context.stream);
}

/// dx = wide W + dz A without dropout; else dx = dy W + mask * (wide W + dz A - dy W).
void input_gradient(const LinearLayer& layer, const LinearContext& context, const TokenRange& tokens, ConstTensorView dy,
                    TensorView dx, InputGradient how) {
  const LinearContext part = of_tokens(context, tokens);
  const DoraScratch scratch = scratch_of(layer, context, dy.rows());
  const ConstTensorView wide = rows_of(scratch.wide, tokens);
  const ConstTensorView dz = rows_of(scratch.dz, tokens);
  const ConstTensorView a = values_of(context, lora_a(*layer.adapted));
  const TensorView dx_rows = rows_of(dx, tokens);
  const bool add = how == InputGradient::add;
  if (context.dropout.p == 0.0F) {
    matmul({.a = dz, .b = a, .added = {.beta = add ? 1.0F : 0.0F}, .c = dx_rows}, context.stream);
    frozen_product_backward(layer, part, wide, dx_rows, true);
    return;
  }
  const TensorView of_dropped = front_of(context.scratch.dropped, dx_rows.shape);
  frozen_product_backward(layer, part, rows_of(dy, tokens), of_dropped, false);
  add ? add_to(of_dropped, dx_rows, context.stream) : copy(of_dropped, dx_rows, context.stream);
  matmul({.a = dz, .b = a, .added = {.beta = -1.0F}, .c = of_dropped}, context.stream);
  frozen_product_backward(layer, part, wide, of_dropped, true);
  dropped_input_backward(layer, part, of_dropped, dx_rows, true);
}

/// dB = scale * wide^T z; dA = dz^T dropout(x); dm = sum over tokens of dy * u, / n.
void parameter_gradients(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy, ConstTensorView x,
                         const SavedByAdapter& saved) {
  const AdaptedLinear& linear = *layer.adapted;
  const DoraScratch scratch = scratch_of(layer, context, dy.rows());
  matmul({.a = scratch.wide,
          .op_a = Transpose::yes,
          .b = saved.rows,
          .alpha = linear.scale,
          .c = gradient_of(context, lora_b(linear))},
         context.stream);
  matmul(
      {.a = scratch.dz, .op_a = Transpose::yes, .b = dropped_input(layer, context, x), .c = gradient_of(context, lora_a(linear))},
      context.stream);
  const TensorView dm = gradient_of(context, magnitude(linear));
  column_dots(dy, saved.output, dm, context.stream);
  scale_columns(as_row(dm), scratch.inverse_norms, {}, as_row(dm), context.stream);
}

/// m = n, so that c = 1.
void initialize_from_base(const LinearLayer& layer, const LinearContext& context, std::span<float> params) {
  const AdaptedLinear& linear = *layer.adapted;
  const DoraScratch scratch = scratch_of(layer, context, 0);
  square_norms(layer, context, scratch);
  const TensorView m = view(params.data() + magnitude(linear).offset, {1, linear.out});
  copy(as_row(scratch.inverse_norms), m, context.stream);
  inverse_roots(scratch.inverse_norms, context.stream);
  scale_columns(m, scratch.inverse_norms, {}, m, context.stream);
}

}  // namespace

const AdapterMethod& dora_method() {
  static const AdapterMethod method = {.name = "dora",
                                       .parameters = parameters,
                                       .initialize = initialize_lora,
                                       .initialize_from_base = initialize_from_base,
                                       .linear = {.saved_width = lora_saved_width,
                                                  .saved_output_width = saved_output_width,
                                                  .scratch_elements = scratch_elements,
                                                  .begin_forward = begin_forward,
                                                  .forward = forward,
                                                  .save_again = save_again,
                                                  .begin_backward = begin_backward,
                                                  .input_gradient = input_gradient,
                                                  .parameter_gradients = parameter_gradients},
                                       .peft = dora_codec(),
                                       .merge = dora_merge(),
                                       .trains_modules = true};
  return method;
}

}  // namespace lora_dist

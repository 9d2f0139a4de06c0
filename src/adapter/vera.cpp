// VeRA (Kopiczko et al. 2024, arXiv:2310.11454): y = W x + bias + b * (B (d * (A dropout(x)))), with frozen projections A and B
// that all modules share, and trained factors b of outputs and d of ranks. As PEFT has it, without alpha.
// The factors b are multiplied into B once per layer, so that y costs LoRA's products.
#include <algorithm>

#include "kernels/reduce/reduce.h"
#include "kernels/scale/scale.h"
#include "src/adapter/lora_factors.h"
#include "src/adapter/method.h"
#include "src/adapter/tensor_roles.h"
#include "src/adapter/vera_folder.h"

namespace lora_dist {

namespace {

const Parameter& factors_b(const AdaptedLinear& linear) { return linear.parameters[0]; }
const Parameter& factors_d(const AdaptedLinear& linear) { return linear.parameters[1]; }

std::vector<Parameter> parameters(const LinearTraits& linear) {
  return {{kVeraB, {linear.out}, TpCut::outputs}, {kVeraD, {linear.r}}};
}

std::vector<Parameter> frozen(const LinearTraits& linear) {
  return {{kProjectionA, {linear.r, linear.in}, TpCut::inputs}, {kProjectionB, {linear.out, linear.r}, TpCut::outputs}};
}

void initialize(const AdaptedLinear& linear, const InitialKey& key, std::span<float> params) {
  std::fill_n(params.begin() + factors_b(linear).offset, linear.parameters[0].shape.count(), 0.0F);
  std::fill_n(params.begin() + factors_d(linear).offset, linear.r, static_cast<float>(key.d_initial));
}

/// A layer's intermediate results in LinearScratch::method.
struct VeraScratch {
  TensorView wide;  // [out, r]: diag(b) B; then dy^T q
  TensorView dq;    // [tokens, r]: dy diag(b) B
  TensorView thin;  // [tokens, r]: q = d * z, or d * dq
};

std::int64_t scratch_elements(const AdaptedLinear& linear, std::int64_t tokens) { return linear.r * (linear.out + 2 * tokens); }

VeraScratch scratch_of(const LinearLayer& layer, const LinearContext& context, std::int64_t tokens) {
  const AdaptedLinear& linear = *layer.adapted;
  const TensorView& all = context.scratch.method;
  require(scratch_elements(linear, tokens) <= all.count(), "a scratch buffer is too small");
  const auto part = [&](std::int64_t first, Shape shape) {
    return TensorView{static_cast<std::byte*>(all.data) + static_cast<std::size_t>(first) * size_of(all.dtype), all.dtype, shape};
  };
  const std::int64_t after_wide = linear.out * linear.r;
  return {part(0, {linear.out, linear.r}), part(after_wide, {tokens, linear.r}),
          part(after_wide + tokens * linear.r, {tokens, linear.r})};
}

ConstTensorView projection_a(const LinearLayer& layer, const LinearContext& context) {
  return frozen_values_of(context, layer.adapted->frozen[0]);
}
ConstTensorView projection_b(const LinearLayer& layer, const LinearContext& context) {
  return frozen_values_of(context, layer.adapted->frozen[1]);
}

/// wide = diag(b) B.
void scale_b(const LinearLayer& layer, const LinearContext& context) {
  scale_rows(projection_b(layer, context), exact_values_of(context, factors_b(*layer.adapted)),
             scratch_of(layer, context, 0).wide, context.stream);
}

void scale_by_d(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, TensorView y) {
  scale_columns(x, exact_values_of(context, factors_d(*layer.adapted)), {}, y, context.stream);
}

/// z = dropout(x) A^T.
void save_vera_z(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const SavedByAdapter& saved) {
  matmul({.a = dropped_input(layer, context, x), .b = projection_a(layer, context), .op_b = Transpose::yes, .c = saved.rows},
         context.stream);
}

/// y = q (diag(b) B)^T + x W^T + bias + residual.
void forward(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const SavedByAdapter& saved, TensorView y,
             ConstTensorView residual) {
  const VeraScratch scratch = scratch_of(layer, context, x.rows());
  save_vera_z(layer, context, x, saved);
  scale_by_d(layer, context, saved.rows, scratch.thin);
  matmul({.a = scratch.thin,
          .b = scratch.wide,
          .op_b = Transpose::yes,
          .added = {residual.data == nullptr ? 0.0F : 1.0F, residual, {}},
          .c = y},
         context.stream);
  frozen_product(layer, context, x, {1.0F, {}, layer.bias}, y);
}

void begin_backward(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy) {
  const VeraScratch scratch = scratch_of(layer, context, dy.rows());
  scale_b(layer, context);
  matmul({.a = dy, .b = scratch.wide, .c = scratch.dq}, context.stream);
  scale_by_d(layer, context, scratch.dq, scratch.thin);
}

/// dx = mask * (d * dq A) + dy W.
void input_gradient(const LinearLayer& layer, const LinearContext& context, const TokenRange& tokens, ConstTensorView dy,
                    TensorView dx, InputGradient how) {
  const LinearContext part = of_tokens(context, tokens);
  const TensorView dx_rows = rows_of(dx, tokens);
  const TensorView dz = rows_of(scratch_of(layer, context, dy.rows()).thin, tokens);
  thin_input_gradient(layer, part, dz, projection_a(layer, context), dx_rows, how == InputGradient::add);
  frozen_product_backward(layer, part, rows_of(dy, tokens), dx_rows, true);
}

/// dd = the sum over tokens of dq * z; db = the sum over ranks of B * dy^T q.
void parameter_gradients(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy, ConstTensorView /*x*/,
                         const SavedByAdapter& saved) {
  const AdaptedLinear& linear = *layer.adapted;
  const VeraScratch scratch = scratch_of(layer, context, dy.rows());
  column_dots(scratch.dq, saved.rows, gradient_of(context, factors_d(linear)), context.stream);
  scale_by_d(layer, context, saved.rows, scratch.thin);
  matmul({.a = dy, .op_a = Transpose::yes, .b = scratch.thin, .c = scratch.wide}, context.stream);
  row_dots(projection_b(layer, context), scratch.wide, false, gradient_of(context, factors_b(linear)), context.stream);
}

}  // namespace

const AdapterMethod& vera_method() {
  static const AdapterMethod method = {.name = "vera",
                                       .parameters = parameters,
                                       .initialize = initialize,
                                       .initialize_from_base = nullptr,
                                       .linear = {.saved_width = lora_saved_width,
                                                  .saved_output_width = nullptr,
                                                  .scratch_elements = scratch_elements,
                                                  .begin_forward = scale_b,
                                                  .forward = forward,
                                                  .save_again = save_vera_z,
                                                  .begin_backward = begin_backward,
                                                  .input_gradient = input_gradient,
                                                  .parameter_gradients = parameter_gradients},
                                       .peft = vera_codec(),
                                       .merge = vera_merge(),
                                       .keys = {.alpha = false},
                                       .frozen = frozen,
                                       .draw_shared = draw_projections};
  return method;
}

}  // namespace lora_dist

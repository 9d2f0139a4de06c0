// AdaLoRA (Zhang et al. 2023, arXiv:2303.10512): y = W x + bias + scale * B (E * (A dropout(x))), whose least important ranks are
// pruned during training (adalora_step.cpp). As PEFT has it, scale = alpha / (init_r + 1e-5), whatever ranks are left.
#include <algorithm>

#include "kernels/reduce/reduce.h"
#include "kernels/scale/scale.h"
#include "src/adapter/adalora_folder.h"
#include "src/adapter/adalora_step.h"
#include "src/adapter/lora_factors.h"
#include "src/adapter/method.h"
#include "src/adapter/tensor_roles.h"

namespace lora_dist {

namespace {

const Parameter& singular_values(const AdaptedLinear& linear) { return linear.parameters[2]; }

std::vector<Parameter> parameters(const LinearTraits& linear) {
  std::vector<Parameter> all = lora_parameters(linear);
  all.push_back({kLoraE, {linear.r, 1}});
  return all;
}

/// A and B normal with standard deviation 0.02, E zero.
void initialize(const AdaptedLinear& linear, const InitialKey& key, std::span<float> params) {
  constexpr double kDeviation = 0.02;
  fill_normal(lora_a(linear), key, 0x41444141U, kDeviation, params);
  fill_normal(lora_b(linear), key, 0x41444142U, kDeviation, params);
  const Parameter& e = singular_values(linear);
  std::fill_n(params.begin() + e.offset, e.shape.count(), 0.0F);
}

/// A layer's intermediate results in LinearScratch::method, [tokens, r] each.
struct AdaLoraScratch {
  TensorView dq;    // scale * dy B
  TensorView thin;  // q = E * z, or dz = E * dq
};

std::int64_t scratch_elements(const AdaptedLinear& linear, std::int64_t tokens) { return 2 * tokens * linear.r; }

AdaLoraScratch scratch_of(const LinearLayer& layer, const LinearContext& context, std::int64_t tokens) {
  const TensorView both = front_of(context.scratch.method, {2 * tokens, layer.adapted->r});
  return {rows_of(both, {0, tokens}), rows_of(both, {tokens, tokens})};
}

void scale_by_e(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, TensorView y) {
  scale_columns(x, exact_values_of(context, singular_values(*layer.adapted)), {}, y, context.stream);
}

/// y = scale * q B^T + x W^T + bias + residual.
void forward(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const SavedByAdapter& saved, TensorView y,
             ConstTensorView residual) {
  const AdaLoraScratch scratch = scratch_of(layer, context, x.rows());
  save_lora_z(layer, context, x, saved);
  scale_by_e(layer, context, saved.rows, scratch.thin);
  matmul({.a = scratch.thin,
          .b = values_of(context, lora_b(*layer.adapted)),
          .op_b = Transpose::yes,
          .alpha = layer.adapted->scale,
          .added = {residual.data == nullptr ? 0.0F : 1.0F, residual, {}},
          .c = y},
         context.stream);
  frozen_product(layer, context, x, {1.0F, {}, layer.bias}, y);
}

void begin_backward(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy) {
  const AdaLoraScratch scratch = scratch_of(layer, context, dy.rows());
  matmul({.a = dy, .b = values_of(context, lora_b(*layer.adapted)), .alpha = layer.adapted->scale, .c = scratch.dq},
         context.stream);
  scale_by_e(layer, context, scratch.dq, scratch.thin);
}

/// dx = mask * (dz A) + dy W.
void input_gradient(const LinearLayer& layer, const LinearContext& context, const TokenRange& tokens, ConstTensorView dy,
                    TensorView dx, InputGradient how) {
  const LinearContext part = of_tokens(context, tokens);
  const TensorView dx_rows = rows_of(dx, tokens);
  const TensorView dz = rows_of(scratch_of(layer, context, dy.rows()).thin, tokens);
  thin_input_gradient(layer, part, dz, values_of(context, lora_a(*layer.adapted)), dx_rows, how == InputGradient::add);
  frozen_product_backward(layer, part, rows_of(dy, tokens), dx_rows, true);
}

/// dA = dz^T dropout(x); dE = the sum over tokens of dq * z; dB = scale * dy^T q.
void parameter_gradients(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy, ConstTensorView x,
                         const SavedByAdapter& saved) {
  const AdaptedLinear& linear = *layer.adapted;
  const AdaLoraScratch scratch = scratch_of(layer, context, dy.rows());
  matmul({.a = scratch.thin,
          .op_a = Transpose::yes,
          .b = dropped_input(layer, context, x),
          .c = gradient_of(context, lora_a(linear))},
         context.stream);
  column_dots(scratch.dq, saved.rows, gradient_of(context, singular_values(linear)), context.stream);
  scale_by_e(layer, context, saved.rows, scratch.thin);
  matmul({.a = dy, .op_a = Transpose::yes, .b = scratch.thin, .alpha = linear.scale, .c = gradient_of(context, lora_b(linear))},
         context.stream);
}

constexpr StepHooks kAdaLoraStep = {.take_memory = take_adalora_memory,
                                    .add_regularization_gradient = add_orthogonality,
                                    .after_update = choose_ranks,
                                    .kept_tensors = kept_tensors};

}  // namespace

const AdapterMethod& adalora_method() {
  static const AdapterMethod method = {.name = "adalora",
                                       .parameters = parameters,
                                       .initialize = initialize,
                                       .initialize_from_base = nullptr,
                                       .linear = {.saved_width = lora_saved_width,
                                                  .saved_output_width = nullptr,
                                                  .scratch_elements = scratch_elements,
                                                  .begin_forward = nullptr,
                                                  .forward = forward,
                                                  .save_again = save_lora_z,
                                                  .begin_backward = begin_backward,
                                                  .input_gradient = input_gradient,
                                                  .parameter_gradients = parameter_gradients},
                                       .peft = adalora_codec(),
                                       .merge = adalora_merge(),
                                       .keys = {.rank = false},
                                       .scale = adalora_scale,
                                       .step = &kAdaLoraStep};
  return method;
}

}  // namespace lora_dist

// LoRA (Hu et al. 2021, arXiv:2106.09685): y = W x + scale * B A dropout(x).
#include "src/adapter/lora_factors.h"
#include "src/adapter/lora_folder.h"
#include "src/adapter/method.h"

namespace lora_dist {

namespace {

std::int64_t scratch_elements(const AdaptedLinear& linear, std::int64_t tokens) { return tokens * linear.r; }

/// dz [tokens, r], written by begin_backward.
TensorView dz_of(const LinearLayer& layer, const LinearContext& context, std::int64_t tokens) {
  return front_of(context.scratch.method, {tokens, layer.adapted->r});
}

/// y = scale * z B^T + x W^T + bias + residual. The thin product writes y first, because the compute-bound frozen product can
/// afford to read the addends.
void forward(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const SavedByAdapter& saved, TensorView y,
             ConstTensorView residual) {
  save_lora_z(layer, context, x, saved);
  matmul({.a = saved.rows,
          .b = values_of(context, lora_b(*layer.adapted)),
          .op_b = Transpose::yes,
          .alpha = layer.adapted->scale,
          .added = {residual.data == nullptr ? 0.0F : 1.0F, residual, {}},
          .c = y},
         context.stream);
  frozen_product(layer, context, x, {1.0F, {}, layer.bias}, y);
}

/// dz = scale * dy B.
void begin_backward(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy) {
  matmul({.a = dy,
          .b = values_of(context, lora_b(*layer.adapted)),
          .alpha = layer.adapted->scale,
          .c = dz_of(layer, context, dy.rows())},
         context.stream);
}

/// dx = mask * (dz A) + dy W.
void input_gradient(const LinearLayer& layer, const LinearContext& context, const TokenRange& tokens, ConstTensorView dy,
                    TensorView dx, InputGradient how) {
  const LinearContext part = of_tokens(context, tokens);
  const TensorView dx_rows = rows_of(dx, tokens);
  const TensorView dz = rows_of(dz_of(layer, context, dy.rows()), tokens);
  thin_input_gradient(layer, part, dz, values_of(context, lora_a(*layer.adapted)), dx_rows, how == InputGradient::add);
  frozen_product_backward(layer, part, rows_of(dy, tokens), dx_rows, true);
}

/// dB = scale * dy^T z; dA = dz^T dropout(x).
void parameter_gradients(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy, ConstTensorView x,
                         const SavedByAdapter& saved) {
  const AdaptedLinear& adapted = *layer.adapted;
  matmul({.a = dy, .op_a = Transpose::yes, .b = saved.rows, .alpha = adapted.scale, .c = gradient_of(context, lora_b(adapted))},
         context.stream);
  matmul({.a = dz_of(layer, context, dy.rows()),
          .op_a = Transpose::yes,
          .b = dropped_input(layer, context, x),
          .c = gradient_of(context, lora_a(adapted))},
         context.stream);
}

}  // namespace

const AdapterMethod& lora_method() {
  static const AdapterMethod method = {"lora",
                                       lora_parameters,
                                       initialize_lora,
                                       nullptr,
                                       {.saved_width = lora_saved_width,
                                        .saved_output_width = nullptr,
                                        .scratch_elements = scratch_elements,
                                        .begin_forward = nullptr,
                                        .forward = forward,
                                        .save_again = save_lora_z,
                                        .begin_backward = begin_backward,
                                        .input_gradient = input_gradient,
                                        .parameter_gradients = parameter_gradients},
                                       lora_codec(),
                                       lora_merge()};
  return method;
}

}  // namespace lora_dist

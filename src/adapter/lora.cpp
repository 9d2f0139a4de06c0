// LoRA (Hu et al. 2021, arXiv:2106.09685): y = W x + scale * B A dropout(x). With PiSSA and OLoRA, which take the update of the
// initial factors A0 and B0 out of W, y = W x - scale * B0 A0 x + scale * B A dropout(x): the base stays as it is, quantized or
// shared by several runs.
#include "src/adapter/lora_factors.h"
#include "src/adapter/lora_folder.h"
#include "src/adapter/method.h"

namespace lora_dist {

namespace {

std::int64_t scratch_elements(const AdaptedLinear& linear, std::int64_t tokens) {
  return tokens * linear.r * (linear.residual ? 2 : 1);
}

/// dz [tokens, r], written by begin_backward.
TensorView dz_of(const LinearLayer& layer, const LinearContext& context, std::int64_t tokens) {
  return front_of(context.scratch.method, {tokens, layer.adapted->r});
}

/// The same for the initial factors of a residual layer: forward has z0 in its place.
TensorView initial_dz_of(const LinearLayer& layer, const LinearContext& context, std::int64_t tokens) {
  const TensorView both = front_of(context.scratch.method, {2 * tokens, layer.adapted->r});
  return rows_of(both, {tokens, tokens});
}

ConstTensorView initial_a(const LinearLayer& layer, const LinearContext& context) {
  return initial_values_of(context, lora_a(*layer.adapted));
}
ConstTensorView initial_b(const LinearLayer& layer, const LinearContext& context) {
  return initial_values_of(context, lora_b(*layer.adapted));
}

/// y -= scale * (x A0^T) B0^T.
void subtract_initial_update(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, TensorView y) {
  const TensorView z = initial_dz_of(layer, context, x.rows());
  matmul({.a = x, .b = initial_a(layer, context), .op_b = Transpose::yes, .c = z}, context.stream);
  matmul({.a = z,
          .b = initial_b(layer, context),
          .op_b = Transpose::yes,
          .alpha = -layer.adapted->scale,
          .added = {.beta = 1.0F},
          .c = y},
         context.stream);
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
  if (layer.adapted->residual) {
    subtract_initial_update(layer, context, x, y);
  }
  frozen_product(layer, context, x, {1.0F, {}, layer.bias}, y);
}

/// dz = scale * dy B, and dz0 = -scale * dy B0.
void begin_backward(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy) {
  const AdaptedLinear& adapted = *layer.adapted;
  matmul({.a = dy, .b = values_of(context, lora_b(adapted)), .alpha = adapted.scale, .c = dz_of(layer, context, dy.rows())},
         context.stream);
  if (adapted.residual) {
    matmul({.a = dy, .b = initial_b(layer, context), .alpha = -adapted.scale, .c = initial_dz_of(layer, context, dy.rows())},
           context.stream);
  }
}

/// dx = mask * (dz A) + dz0 A0 + dy W.
void input_gradient(const LinearLayer& layer, const LinearContext& context, const TokenRange& tokens, ConstTensorView dy,
                    TensorView dx, InputGradient how) {
  const LinearContext part = of_tokens(context, tokens);
  const TensorView dx_rows = rows_of(dx, tokens);
  const TensorView dz = rows_of(dz_of(layer, context, dy.rows()), tokens);
  thin_input_gradient(layer, part, dz, values_of(context, lora_a(*layer.adapted)), dx_rows, how == InputGradient::add);
  if (layer.adapted->residual) {
    matmul({.a = rows_of(initial_dz_of(layer, context, dy.rows()), tokens),
            .b = initial_a(layer, context),
            .added = {.beta = 1.0F},
            .c = dx_rows},
           context.stream);
  }
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
  static const AdapterMethod method = {.name = "lora",
                                       .parameters = lora_parameters,
                                       .initialize = initialize_lora,
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
                                       .peft = lora_codec(),
                                       .merge = lora_merge(),
                                       .trains_modules = true};
  return method;
}

}  // namespace lora_dist

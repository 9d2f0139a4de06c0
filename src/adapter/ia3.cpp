// IA3 (Liu et al. 2022, arXiv:2205.05638): y = l * (W x + bias), or y = W (l * x) + bias in feed-forward layers, as PEFT has it.
// Neither has dropout.
#include "kernels/reduce/reduce.h"
#include "kernels/scale/scale.h"
#include "src/adapter/ia3_folder.h"
#include "src/adapter/ia3_modules.h"
#include "src/adapter/method.h"
#include "src/adapter/tensor_roles.h"

namespace lora_dist {

namespace {

std::vector<Parameter> parameters(const LinearTraits& linear) {
  if (linear.feedforward) {
    return {{kIa3Factors, {1, linear.in}, TpCut::inputs}};
  }
  return {{kIa3Factors, {linear.out, 1}, TpCut::outputs}};
}

void initialize(const AdaptedLinear& linear, const InitialKey& /*key*/, std::span<float> params) {
  const Parameter& l = linear.parameters[0];
  std::fill_n(params.begin() + l.offset, l.shape.count(), 1.0F);
}

std::int64_t saved_width(const AdaptedLinear& /*linear*/) { return 0; }
std::int64_t saved_output_width(const AdaptedLinear& linear) { return linear.feedforward ? 0 : linear.out; }
std::int64_t scratch_elements(const AdaptedLinear& linear, std::int64_t tokens) {
  return tokens * (linear.feedforward ? linear.in : linear.out);
}

ConstTensorView factors(const LinearLayer& layer, const LinearContext& context) {
  return exact_values_of(context, layer.adapted->parameters[0]);
}

void forward(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const SavedByAdapter& saved, TensorView y,
             ConstTensorView residual) {
  if (layer.adapted->feedforward) {
    const TensorView scaled = front_of(context.scratch.method, x.shape);
    scale_columns(x, factors(layer, context), {}, scaled, context.stream);
    frozen_product(layer, context, scaled, {residual.data == nullptr ? 0.0F : 1.0F, residual, layer.bias}, y);
    return;
  }
  const TensorView u = saved.output.data == nullptr ? y : saved.output;  // W x + bias
  frozen_product(layer, context, x, {0.0F, {}, layer.bias}, u);
  scale_columns(u, factors(layer, context), {residual, {}}, y, context.stream);
}

void save_again(const LinearLayer& layer, const LinearContext& context, ConstTensorView x, const SavedByAdapter& saved) {
  if (!layer.adapted->feedforward) {
    frozen_product(layer, context, x, {0.0F, {}, layer.bias}, saved.output);
  }
}

/// Scratch: l * dy, or dy W of a feed-forward layer.
TensorView of_scratch(const LinearLayer& layer, const LinearContext& context, std::int64_t tokens) {
  const AdaptedLinear& linear = *layer.adapted;
  return front_of(context.scratch.method, {tokens, linear.feedforward ? linear.in : linear.out});
}

void begin_backward(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy) {
  const TensorView scratch = of_scratch(layer, context, dy.rows());
  if (layer.adapted->feedforward) {
    frozen_product_backward(layer, context, dy, scratch, false);
  } else {
    scale_columns(dy, factors(layer, context), {}, scratch, context.stream);
  }
}

/// dx = (l * dy) W, or l * (dy W).
void input_gradient(const LinearLayer& layer, const LinearContext& context, const TokenRange& tokens, ConstTensorView dy,
                    TensorView dx, InputGradient how) {
  const ConstTensorView scratch = rows_of(of_scratch(layer, context, dy.rows()), tokens);
  const TensorView dx_rows = rows_of(dx, tokens);
  const bool add = how == InputGradient::add;
  if (layer.adapted->feedforward) {
    scale_columns(scratch, factors(layer, context), {add ? ConstTensorView(dx_rows) : ConstTensorView(), {}}, dx_rows,
                  context.stream);
  } else {
    frozen_product_backward(layer, of_tokens(context, tokens), scratch, dx_rows, add);
  }
}

/// dl = the sum over tokens of dy * (W x + bias), or of x * (dy W).
void parameter_gradients(const LinearLayer& layer, const LinearContext& context, ConstTensorView dy, ConstTensorView x,
                         const SavedByAdapter& saved) {
  const Parameter& l = layer.adapted->parameters[0];
  const TensorView dl = view(context.grads.data() + l.offset, {l.shape.count()});
  if (layer.adapted->feedforward) {
    column_dots(x, of_scratch(layer, context, dy.rows()), dl, context.stream);
  } else {
    column_dots(dy, saved.output, dl, context.stream);
  }
}

}  // namespace

const AdapterMethod& ia3_method() {
  static const AdapterMethod method = {"ia3",
                                       parameters,
                                       initialize,
                                       nullptr,
                                       {.saved_width = saved_width,
                                        .saved_output_width = saved_output_width,
                                        .scratch_elements = scratch_elements,
                                        .begin_forward = nullptr,
                                        .forward = forward,
                                        .save_again = save_again,
                                        .begin_backward = begin_backward,
                                        .input_gradient = input_gradient,
                                        .parameter_gradients = parameter_gradients},
                                       ia3_codec(),
                                       ia3_merge(),
                                       {.rank = false, .alpha = false, .dropout = false},
                                       default_ia3_modules,
                                       name_feedforward_modules};
  return method;
}

}  // namespace lora_dist

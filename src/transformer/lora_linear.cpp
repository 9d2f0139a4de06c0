// Forward and backward of one linear layer: the frozen product, and the two factors beside it.
#include "src/transformer/lora_linear.h"

#include "kernels/dropout/dropout.h"
#include "kernels/matmul/matmul.h"

namespace lora_dist {

namespace {

ConstTensorView factor(const LoraPass& pass, std::int64_t first, Shape shape) {
  const auto* params = static_cast<const std::byte*>(pass.params.data);
  return {params + static_cast<std::size_t>(first) * size_of(pass.params.dtype), pass.params.dtype, shape};
}
ConstTensorView factor_a(const LoraPass& pass, const LoraPlace& place) { return factor(pass, place.a, {place.r, place.in}); }
ConstTensorView factor_b(const LoraPass& pass, const LoraPlace& place) { return factor(pass, place.b, {place.out, place.r}); }

/// The first elements of a scratch buffer, in a shape.
TensorView part_of(const TensorView& scratch, Shape shape) {
  require(shape.count() <= scratch.count(), "a scratch buffer is too small");
  return {scratch.data, scratch.dtype, shape};
}

DropoutKey dropout_key(const LoraLinear& layer, const LoraPass& pass) {
  return {pass.seed, pass.step, layer.layer, static_cast<std::uint32_t>(layer.linear),
          static_cast<std::uint32_t>(layer.place->first_in)};
}

/// The adapter's input: x itself, or x after dropout in scratch.
ConstTensorView dropped_input(const LoraLinear& layer, const LoraPass& pass, ConstTensorView x) {
  if (pass.dropout == 0.0F) {
    return x;
  }
  const TensorView out = part_of(pass.scratch.dropped, x.shape);
  dropout(x, pass.samples, pass.positions, pass.dropout, dropout_key(layer, pass), out, pass.stream);
  return out;
}

void poke(const LoraPass& pass) {
  if (pass.window != nullptr) {
    pass.window->poke();
  }
}

}  // namespace

void lora_linear(const LoraLinear& layer, const LoraPass& pass, ConstTensorView x, TensorView z, TensorView y,
                 ConstTensorView residual) {
  Added added{residual.data == nullptr ? 0.0F : 1.0F, residual, {}};
  if (layer.place != nullptr) {
    lora_linear_z(layer, pass, x, z);
    matmul(
        {.a = z, .b = factor_b(pass, *layer.place), .op_b = Transpose::yes, .alpha = layer.place->scale, .added = added, .c = y},
        pass.stream);
    added = {1.0F, {}, {}};
  }
  added.bias = layer.bias;
  const ConstTensorView w = dequantize(layer.weight, pass.scratch.weight, pass.scratch.absmax, pass.stream);
  poke(pass);
  matmul({.a = x, .b = w, .op_b = Transpose::yes, .added = added, .c = y}, pass.stream);
  poke(pass);
}

void lora_linear_z(const LoraLinear& layer, const LoraPass& pass, ConstTensorView x, TensorView z) {
  if (layer.place != nullptr) {
    matmul({.a = dropped_input(layer, pass, x), .b = factor_a(pass, *layer.place), .op_b = Transpose::yes, .c = z}, pass.stream);
  }
}

namespace {

/// dx = mask * (dz A), or that added to dx.
void factors_input_gradient(const LoraLinear& layer, const LoraPass& pass, ConstTensorView dz, TensorView dx, bool add) {
  const ConstTensorView a = factor_a(pass, *layer.place);
  if (pass.dropout == 0.0F) {
    matmul({.a = dz, .b = a, .added = {.beta = add ? 1.0F : 0.0F}, .c = dx}, pass.stream);
    return;
  }
  const TensorView unmasked = add ? part_of(pass.scratch.dropped, dx.shape) : dx;  // dropout(x) is made again for dA
  matmul({.a = dz, .b = a, .c = unmasked}, pass.stream);
  (add ? dropout_backward : dropout)(unmasked, pass.samples, pass.positions, pass.dropout, dropout_key(layer, pass), dx,
                                     pass.stream);
}

}  // namespace

TensorView lora_linear_dz(const LoraLinear& layer, const LoraPass& pass, ConstTensorView dy) {
  if (layer.place == nullptr) {
    return {};
  }
  const LoraPlace& place = *layer.place;
  const TensorView dz = part_of(pass.scratch.dz, {dy.rows(), place.r});
  matmul({.a = dy, .b = factor_b(pass, place), .alpha = place.scale, .c = dz}, pass.stream);
  return dz;
}

void lora_linear_input_gradient(const LoraLinear& layer, const LoraPass& pass, ConstTensorView dy, ConstTensorView dz,
                                TensorView dx, InputGradient input) {
  if (input == InputGradient::none) {
    return;
  }
  bool add = input == InputGradient::add;
  if (layer.place != nullptr) {
    factors_input_gradient(layer, pass, dz, dx, add);
    add = true;
  }
  const ConstTensorView w = dequantize(layer.weight, pass.scratch.weight, pass.scratch.absmax, pass.stream);
  poke(pass);
  matmul({.a = dy, .b = w, .added = {.beta = add ? 1.0F : 0.0F}, .c = dx}, pass.stream);
  poke(pass);
}

void lora_linear_factor_gradients(const LoraLinear& layer, const LoraPass& pass, ConstTensorView dy, ConstTensorView dz,
                                  ConstTensorView x, ConstTensorView z) {
  if (layer.place == nullptr) {
    return;
  }
  const LoraPlace& place = *layer.place;
  matmul({.a = dy,
          .op_a = Transpose::yes,
          .b = z,
          .alpha = place.scale,
          .c = view(pass.grads.data() + place.b, {place.out, place.r})},
         pass.stream);
  matmul({.a = dz,
          .op_a = Transpose::yes,
          .b = dropped_input(layer, pass, x),
          .c = view(pass.grads.data() + place.a, {place.r, place.in})},
         pass.stream);
}

void lora_linear_backward(const LoraLinear& layer, const LoraPass& pass, ConstTensorView dy, ConstTensorView x, ConstTensorView z,
                          TensorView dx, InputGradient input) {
  const TensorView dz = lora_linear_dz(layer, pass, dy);
  lora_linear_input_gradient(layer, pass, dy, dz, dx, input);
  lora_linear_factor_gradients(layer, pass, dy, dz, x, z);
}

LoraPass of_tokens(const LoraPass& pass, const TokenRange& tokens) {
  LoraPass part = pass;
  const auto run = [&](const ConstTensorView& ids) { return view(ids.as<std::int32_t>() + tokens.first, {tokens.count}); };
  part.samples = run(pass.samples);
  part.positions = run(pass.positions);
  return part;
}

}  // namespace lora_dist

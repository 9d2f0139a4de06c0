// Finds a linear's weight, bias, factors and kept z by its name.
#include "src/model/block_linear.h"

namespace lora_dist {

namespace {

LoraLinear linear_of(const BlockInputs& block, Linear linear) {
  const std::size_t i = index_of(linear);
  const auto& place = block.layout->blocks[static_cast<std::size_t>(block.layer)][i];
  return {block.weights[i], block.rest->bias[i], place ? &*place : nullptr, static_cast<std::uint32_t>(block.layer), linear};
}

/// z [tokens, r]: a buffer that layers share is as wide as the largest r of them.
TensorView z_of(const LoraLinear& layer, const BlockActivations& kept, std::int64_t tokens) {
  RowBuffer z = kept.z[index_of(layer.linear)];
  z.width = layer.place != nullptr ? layer.place->r : 0;
  return z.rows(tokens);
}

}  // namespace

void apply_linear(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView x, const BlockActivations& kept,
                  TensorView y, ConstTensorView residual) {
  const LoraLinear layer = linear_of(block, linear);
  lora_linear(layer, pass, x, z_of(layer, kept, x.rows()), y, residual);
}

void apply_linear_z(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView x,
                    const BlockActivations& kept) {
  const LoraLinear layer = linear_of(block, linear);
  lora_linear_z(layer, pass, x, z_of(layer, kept, x.rows()));
}

void linear_backward(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView dy, ConstTensorView x,
                     const BlockActivations& kept, TensorView dx, InputGradient input) {
  const LoraLinear layer = linear_of(block, linear);
  lora_linear_backward(layer, pass, dy, x, z_of(layer, kept, x.rows()), dx, input);
}

}  // namespace lora_dist

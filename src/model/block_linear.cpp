// Finds a linear's weight, bias, factors and kept z by its name.
#include "src/model/block_linear.h"

namespace lora_dist {

namespace {

LoraLinear linear_of(const BlockInputs& block, Linear linear) {
  const std::size_t i = index_of(linear);
  const auto& place = block.layout->blocks[static_cast<std::size_t>(block.layer)][i];
  return {block.weights[i], block.rest->bias[i], place ? &*place : nullptr, static_cast<std::uint32_t>(block.layer), linear};
}

}  // namespace

void apply_linear(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView x, const BlockActivations& kept,
                  TensorView y, ConstTensorView residual) {
  lora_linear(linear_of(block, linear), pass, x, kept.z[index_of(linear)].rows(x.rows()), y, residual);
}

void apply_linear_z(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView x,
                    const BlockActivations& kept) {
  lora_linear_z(linear_of(block, linear), pass, x, kept.z[index_of(linear)].rows(x.rows()));
}

void linear_backward(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView dy, ConstTensorView x,
                     const BlockActivations& kept, TensorView dx, InputGradient input) {
  lora_linear_backward(linear_of(block, linear), pass, dy, x, kept.z[index_of(linear)].rows(x.rows()), dx, input);
}

}  // namespace lora_dist

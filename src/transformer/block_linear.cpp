// Finds a linear's weight, bias, factors and kept z by its name.
#include "src/transformer/block_linear.h"

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

void apply_linear_and_sum(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView x,
                          const BlockActivations& kept, TensorView y, ConstTensorView residual) {
  const LoraLinear layer = linear_of(block, linear);
  const TensorView z = z_of(layer, kept, x.rows());
  PendingSums sums;
  for (const TokenRange& piece : summed_pieces(pass.rows)) {
    const ConstTensorView added = residual.data == nullptr ? residual : rows_of(residual, piece);
    const TensorView rows = rows_of(y, piece);
    lora_linear(layer, of_tokens(pass, piece), rows_of(x, piece), rows_of(z, piece), rows, added);
    start_sum(pass.rows, rows, sums);
  }
  finish_sums(sums);
}

void apply_linear_z(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView x,
                    const BlockActivations& kept) {
  const LoraLinear layer = linear_of(block, linear);
  const TensorView z = z_of(layer, kept, x.rows());
  for (const TokenRange& piece : summed_pieces(pass.rows)) {  // as it was made: other shapes may be added in another order
    lora_linear_z(layer, of_tokens(pass, piece), rows_of(x, piece), rows_of(z, piece));
  }
}

void linear_backward(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView dy, ConstTensorView x,
                     const BlockActivations& kept, TensorView dx, InputGradient input) {
  const LoraLinear layer = linear_of(block, linear);
  lora_linear_backward(layer, pass, dy, x, z_of(layer, kept, x.rows()), dx, input);
}

void linear_backward_and_sum(const BlockInputs& block, const LoraPass& pass, Linear linear, ConstTensorView dy, ConstTensorView x,
                             const BlockActivations& kept, TensorView dx, InputGradient input) {
  const LoraLinear layer = linear_of(block, linear);
  const TensorView dz = lora_linear_dz(layer, pass, dy);
  PendingSums sums;
  for (const TokenRange& piece : summed_pieces(pass.rows)) {
    const TensorView rows = rows_of(dx, piece);
    lora_linear_input_gradient(layer, of_tokens(pass, piece), rows_of(dy, piece), dz.data == nullptr ? dz : rows_of(dz, piece),
                               rows, input);
    start_sum(pass.rows, rows, sums);
  }
  lora_linear_factor_gradients(layer, pass, dy, dz, x, z_of(layer, kept, x.rows()));
  finish_sums(sums);
}

}  // namespace lora_dist

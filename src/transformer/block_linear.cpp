// Finds a linear's weight, bias and adapter by name, and calls the adapter method's hooks.
#include "src/transformer/block_linear.h"

#include <span>

#include "src/transformer/base_gradients.h"

namespace lora_dist {

namespace {

LinearLayer layer_of(const BlockContext& block, Linear linear) {
  const std::size_t i = index_of(linear);
  const auto& adapted = block.model.layout->blocks[static_cast<std::size_t>(block.layer)][i];
  return {block.weights[i], block.rest().bias[i], adapted ? &*adapted : nullptr, static_cast<std::uint32_t>(block.layer), linear};
}

const LinearHooks& hooks_of(const BlockContext& block) { return block.model.layout->method->linear; }

/// The adapter's saved activations: a buffer that layers share has the width of the widest.
SavedByAdapter saved_of(const BlockContext& block, const LinearLayer& layer, std::int64_t tokens) {
  RowBuffer rows = block.saved().adapter[index_of(layer.linear)];
  rows.width = layer.adapted != nullptr ? hooks_of(block).saved_width(*layer.adapted) : 0;
  const RowBuffer& output = block.saved().adapter_output[index_of(layer.linear)];
  return {rows.rows(tokens), output.width == 0 ? TensorView{} : output.rows(tokens)};
}

void begin_forward(const BlockContext& block, const LinearLayer& layer) {
  if (layer.adapted != nullptr && hooks_of(block).begin_forward != nullptr) {
    hooks_of(block).begin_forward(layer, block.linears);
  }
}

void forward_of(const BlockContext& block, const LinearLayer& layer, const LinearContext& context, ConstTensorView x,
                const SavedByAdapter& saved, TensorView y, ConstTensorView residual) {
  if (layer.adapted != nullptr) {
    hooks_of(block).forward(layer, context, x, saved, y, residual);
  } else {
    frozen_product(layer, context, x, {residual.data == nullptr ? 0.0F : 1.0F, residual, layer.bias}, y);
  }
}

void input_gradient_of(const BlockContext& block, const LinearLayer& layer, const TokenRange& tokens, ConstTensorView dy,
                       TensorView dx, InputGradient how) {
  if (how == InputGradient::none) {
    return;
  }
  if (layer.adapted != nullptr) {
    hooks_of(block).input_gradient(layer, block.linears, tokens, dy, dx, how);
  } else {
    frozen_product_backward(layer, block.linears, rows_of(dy, tokens), rows_of(dx, tokens), how == InputGradient::add);
  }
}

/// Calls `piece_done` with the complete rows of dx, before computing the gradients of the parameters.
template <class PieceDone>
void backward_of(const BlockContext& block, Linear linear, ConstTensorView dy, ConstTensorView x, TensorView dx,
                 InputGradient how, std::span<const TokenRange> pieces, PieceDone piece_done) {
  const LinearLayer layer = layer_of(block, linear);
  if (layer.adapted != nullptr) {
    hooks_of(block).begin_backward(layer, block.linears, dy);
  }
  for (const TokenRange& piece : pieces) {
    input_gradient_of(block, layer, piece, dy, dx, how);
    piece_done(rows_of(dx, piece));
  }
  if (layer.adapted != nullptr) {
    hooks_of(block).parameter_gradients(layer, block.linears, dy, x, saved_of(block, layer, x.rows()));
  }
  add_linear_gradient(block, linear, dy, x);
}

}  // namespace

void linear_forward(const BlockContext& block, Linear linear, ConstTensorView x, TensorView y, ConstTensorView residual) {
  const LinearLayer layer = layer_of(block, linear);
  begin_forward(block, layer);
  forward_of(block, layer, block.linears, x, saved_of(block, layer, x.rows()), y, residual);
}

void linear_and_sum(const BlockContext& block, Linear linear, ConstTensorView x, TensorView y, ConstTensorView residual) {
  const LinearLayer layer = layer_of(block, linear);
  const SavedByAdapter saved = saved_of(block, layer, x.rows());
  begin_forward(block, layer);
  PendingSums sums;
  for (const TokenRange& piece : summed_pieces(block.tp)) {
    const TensorView rows = rows_of(y, piece);
    forward_of(block, layer, of_tokens(block.linears, piece), rows_of(x, piece), rows_of(saved, piece), rows,
               residual.data == nullptr ? residual : rows_of(residual, piece));
    start_all_reduce(block.tp, rows, sums);
  }
  finish_all_reduces(sums);
}

void save_linear_again(const BlockContext& block, Linear linear, ConstTensorView x) {
  const LinearLayer layer = layer_of(block, linear);
  if (layer.adapted == nullptr) {
    return;
  }
  const SavedByAdapter saved = saved_of(block, layer, x.rows());
  begin_forward(block, layer);
  for (const TokenRange& piece : summed_pieces(block.tp)) {  // the same pieces as before: other shapes may sum in another order
    hooks_of(block).save_again(layer, of_tokens(block.linears, piece), rows_of(x, piece), rows_of(saved, piece));
  }
}

void linear_backward(const BlockContext& block, Linear linear, ConstTensorView dy, ConstTensorView x, TensorView dx,
                     InputGradient how) {
  const TokenRange all{0, dy.rows()};
  backward_of(block, linear, dy, x, dx, how, {&all, 1}, [](const TensorView&) {});
}

void linear_backward_and_sum(const BlockContext& block, Linear linear, ConstTensorView dy, ConstTensorView x, TensorView dx,
                             InputGradient how) {
  PendingSums sums;
  backward_of(block, linear, dy, x, dx, how, summed_pieces(block.tp),
              [&](const TensorView& rows) { start_all_reduce(block.tp, rows, sums); });
  finish_all_reduces(sums);
}

}  // namespace lora_dist

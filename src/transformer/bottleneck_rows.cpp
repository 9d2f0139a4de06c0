// Products with the small matrices, and the gradients that one of several ranks contributes.
#include "src/transformer/bottleneck_rows.h"

#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/reduce/reduce.h"

namespace lora_dist {

namespace {

const BottleneckOptions& options_of(const BlockContext& block) { return block.model.layout->bottlenecks.options; }

/// [shard, width]: act(z), in a buffer that all blocks share.
TensorView activated(const BlockContext& block, const SublayerBottleneck& of) {
  const std::int64_t rows = block.tp.shard_tokens();
  const TensorView out = block.model.workspace->bottleneck.activated.rows(rows);
  activate(of.saved.z.rows(rows), options_of(block).activation, out, block.stream());
  return out;
}

/// scale * up_bias, in a buffer that all blocks share.
TensorView scaled_bias(const BlockContext& block, const SublayerBottleneck& of) {
  const TensorView bias = block.model.workspace->bottleneck.bias.column(of.weights->up_bias().shape.count());
  copy(values_of(block.linears, of.weights->up_bias()), bias, block.stream());
  if (options_of(block).scale != 1.0F) {
    scale(bias, options_of(block).scale, block.stream());
  }
  return bias;
}

/// Ranks that keep all rows compute the same gradients: one of them contributes.
bool contributes(const BlockContext& block) {
  return block.tp.sequence_parallel() || block.model.tensor == nullptr || block.model.tensor->rank() == 0;
}

}  // namespace

SublayerBottleneck sublayer_bottleneck(const BlockContext& block, BottleneckSite site, const BottleneckBuffers& saved) {
  return {find_bottleneck(block.model.layout->bottlenecks, site, block.layer), saved};
}

void save_bottleneck_input(const BlockContext& block, const SublayerBottleneck& of, ConstTensorView x, bool keep) {
  if (keep && of.saved.input.width > 0) {
    copy(x, of.saved.input.rows(x.rows()), block.stream());
  }
  matmul({.a = x,
          .b = values_of(block.linears, of.weights->down()),
          .op_b = Transpose::yes,
          .added = {.bias = values_of(block.linears, of.weights->down_bias())},
          .c = of.saved.z.rows(x.rows())},
         block.stream());
}

void add_bottleneck(const BlockContext& block, const SublayerBottleneck& of, TensorView y) {
  matmul({.a = activated(block, of),
          .b = values_of(block.linears, of.weights->up()),
          .op_b = Transpose::yes,
          .alpha = options_of(block).scale,
          .added = {.beta = 1.0F, .bias = scaled_bias(block, of)},
          .c = y},
         block.stream());
}

void bottleneck_backward(const BlockContext& block, const SublayerBottleneck& of, ConstTensorView dy, ConstTensorView x) {
  const Bottleneck& weights = *of.weights;
  const float by = options_of(block).scale;
  const std::int64_t rows = block.tp.shard_tokens();
  const TensorView dz = block.model.workspace->bottleneck.dz.rows(rows);
  if (contributes(block)) {
    const TensorView dup_bias = gradient_of(block.linears, weights.up_bias());
    matmul(
        {.a = dy, .op_a = Transpose::yes, .b = activated(block, of), .alpha = by, .c = gradient_of(block.linears, weights.up())},
        block.stream());
    column_sums(dy, dup_bias, block.stream());
    scale(dup_bias, by, block.stream());
  }
  matmul({.a = dy, .b = values_of(block.linears, weights.up()), .alpha = by, .c = dz}, block.stream());
  activate_backward(dz, of.saved.z.rows(rows), options_of(block).activation, dz, block.stream());
  if (contributes(block)) {
    matmul({.a = dz, .op_a = Transpose::yes, .b = x, .c = gradient_of(block.linears, weights.down())}, block.stream());
    column_sums(dz, gradient_of(block.linears, weights.down_bias()), block.stream());
  }
}

void add_bottleneck_gradient(const BlockContext& block, const SublayerBottleneck& of, TensorView dx) {
  matmul({.a = block.model.workspace->bottleneck.dz.rows(dx.rows()),
          .b = values_of(block.linears, of.weights->down()),
          .added = {.beta = 1.0F},
          .c = dx},
         block.stream());
}

}  // namespace lora_dist

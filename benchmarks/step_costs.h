// The cost of a training step from shapes alone: FLOP of products and bytes of dequantization.
#pragma once

#include "src/base/frozen_base.h"
#include "src/transformer/workspace.h"

namespace lora_dist::benchmarks {

/// Weights that products read for every token: those of blocks and head. The embedding is looked up, not multiplied.
inline double multiplied_weights(const ModelSpec& spec) {
  std::int64_t count = spec.vocab * spec.hidden;
  for (const Linear linear : kAllLinears) {
    const LinearShape shape = linear_shape(spec, linear);
    count += spec.layers * shape.out * shape.in;
  }
  return static_cast<double>(count);
}

/// FLOP for each weight and token: 2 forward and 2 for the gradient of the input; a frozen weight has no gradient. Recomputing
/// whole blocks counts 2 more (though the head, the last block and the down projections are not computed again).
inline double flop_per_weight(Recompute recompute) { return recompute == Recompute::block ? 6.0 : 4.0; }

/// FLOP of attention for a token of a sequence of `length`, over all layers: of length / 2 keys on average, 2 products forward, 5
/// in backward (2 more to compute again), each of 2 * heads * head_dim FLOP a key.
inline double attention_flop_per_token(const ModelSpec& spec, std::int64_t length, Recompute recompute) {
  const double products = recompute == Recompute::block ? 9.0 : 7.0;
  return products * 2.0 * static_cast<double>(spec.layers * spec.query_width() * length) / 2.0;
}

/// The least bytes that dequantization of every block moves per micro-batch: reads the stored format and writes the compute
/// dtype, once forward and once backward. 0 for a base in the compute dtype.
inline double dequantized_bytes_per_pass(const FrozenBase& base, DType compute_dtype) {
  double bytes = 0.0;
  for (const BlockLayout& layout : base.layouts) {
    for (const WeightLayout& weight : layout.weights) {
      if (weight.format.quantization != Quantization::none || weight.dtype != compute_dtype) {
        bytes += static_cast<double>(weight.codes_bytes + weight.absmax_bytes + weight.nested_bytes) +
                 static_cast<double>(weight.rows * weight.cols) * static_cast<double>(size_of(compute_dtype));
      }
    }
  }
  return 2.0 * bytes;
}

}  // namespace lora_dist::benchmarks

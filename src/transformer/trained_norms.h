// The norms' weights in forward and backward: the base's, or trained ones (LayerNorm tuning).
#pragma once

#include <cstdint>
#include <span>

#include "src/transformer/forward_context.h"
#include "src/transformer/tensor_parallel.h"

namespace lora_dist {

/// The base's norm, as it is applied.
const NormWeights& frozen_norm(const FrozenBase& base, NormSite site, std::int64_t layer);

/// Copies the trained norms to workspace.norms as they are applied (norm_adds_one). Once per forward pass.
void apply_trained_norms(const ForwardContext& model);

/// A norm's weights: the trained ones, else the base's.
NormWeights norm_weights(const ForwardContext& model, NormSite site, std::int64_t layer);

/// What backward of a norm has: dy, x: [rows, hidden].
struct NormRows {
  ConstTensorView dy;
  ConstTensorView x;
  NormStatistics saved;
  bool shared = false;  // all TP ranks have all rows: one of them contributes
};
/// Adds the gradients of the norm's weights to `grads`, the flat buffer, if they are trained.
void add_norm_gradient(const ForwardContext& model, NormSite site, std::int64_t layer, const NormRows& rows,
                       std::span<float> grads);

/// Zeros the flat buffer if gradients are added to it, or written by one of several ranks alone: those of norms, bottlenecks,
/// tables and the base's small tensors.
void zero_added_gradients(const ForwardContext& model, std::span<float> grads);

}  // namespace lora_dist

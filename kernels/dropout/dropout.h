// Dropout whose mask depends on (seed, step, layer, module, sample, position, feature) alone: it is the same on every mesh, and
// recomputed in backward instead of saved.
#pragma once

#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// The mask's coordinates that are constant within a call.
/// Philox key: {low, high word of seed} with the step mixed into the high word (xor step * 0x9E3779B9);
/// counter: {feature / 4 (counted in the whole row), position, sample id, layer * 16 + module}; lane feature % 4.
struct DropoutKey {
  std::uint64_t seed = 0;
  std::uint32_t step = 0;
  std::uint32_t layer = 0;
  std::uint32_t module = 0;         // less than 16
  std::uint32_t first_feature = 0;  // of x in the whole row, where a mesh cuts it
};

/// y = x * mask / (1 - p); an element is dropped when its 32 random bits are below floor(p * 2^32).
/// x, y: f32 [tokens, features], on CUDA both f32, both bf16 or both f16, y may be x; samples, positions: i32 [tokens]: a token's
/// sample id and its position in the sample.
void dropout_cpu(ConstTensorView x, ConstTensorView samples, ConstTensorView positions, float p, const DropoutKey& key,
                 TensorView y, const Stream& stream);
void dropout_cuda(ConstTensorView x, ConstTensorView samples, ConstTensorView positions, float p, const DropoutKey& key,
                  TensorView y, const Stream& stream);

/// dx += dy * mask / (1 - p), the same mask. dy and dx as x and y.
void dropout_backward_cpu(ConstTensorView dy, ConstTensorView samples, ConstTensorView positions, float p, const DropoutKey& key,
                          TensorView dx, const Stream& stream);
void dropout_backward_cuda(ConstTensorView dy, ConstTensorView samples, ConstTensorView positions, float p, const DropoutKey& key,
                           TensorView dx, const Stream& stream);

inline void dropout(ConstTensorView x, ConstTensorView samples, ConstTensorView positions, float p, const DropoutKey& key,
                    TensorView y, const Stream& stream) {
  LORA_DIST_DISPATCH(dropout, stream, x, samples, positions, p, key, y);
}
inline void dropout_backward(ConstTensorView dy, ConstTensorView samples, ConstTensorView positions, float p,
                             const DropoutKey& key, TensorView dx, const Stream& stream) {
  LORA_DIST_DISPATCH(dropout_backward, stream, dy, samples, positions, p, key, dx);
}

}  // namespace lora_dist

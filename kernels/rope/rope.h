// Rotary position embedding (Su et al., 2021) in Hugging Face's half-split layout: element i is paired with i + head_dim / 2.
#pragma once

#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

enum class RopeDirection : std::uint8_t { forward, backward };  // backward rotates by the negative angle

/// In place. x: f32 [tokens, heads * head_dim]; positions: i32 [tokens], each in [0, table rows) (KernelError otherwise);
/// table: f32 [positions, head_dim], a row holds cos of the head_dim / 2 angles, then sin of them.
/// On CUDA x may also be bf16 or f16, and a position outside the table makes its token's row NaN: the host cannot see it.
/// (a, b) -> (a cos - b sin, b cos + a sin).
void rope_cpu(TensorView x, ConstTensorView positions, ConstTensorView table, RopeDirection direction, const Stream& stream);
void rope_cuda(TensorView x, ConstTensorView positions, ConstTensorView table, RopeDirection direction, const Stream& stream);

inline void rope(TensorView x, ConstTensorView positions, ConstTensorView table, RopeDirection direction, const Stream& stream) {
  LORA_DIST_DISPATCH(rope, stream, x, positions, table, direction);
}

}  // namespace lora_dist

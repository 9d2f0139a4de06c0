// Rotary position embedding (Su et al., 2021) of the first rotary_dim elements of a head.
#pragma once

#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// The elements of a head that are rotated together.
enum class RopePairs : std::uint8_t {
  halves,      // i and i + rotary_dim / 2, as in Hugging Face's Llama
  neighbours,  // 2 i and 2 i + 1, as in the paper (GLM-4, Cohere)
};
struct RopeHeads {
  std::int64_t head_dim = 0;
  RopePairs pairs = RopePairs::halves;
};
enum class RopeDirection : std::uint8_t { forward, backward };  // backward rotates by the negative angle

/// In place. x: f32 [tokens, heads * head_dim]; positions: i32 [tokens], each in [0, table rows) (KernelError otherwise);
/// table: f32 [positions, rotary_dim], a row holds cos of the rotary_dim / 2 angles, then sin of them; rotary_dim is even and at
/// most head_dim. Elements rotary_dim .. head_dim of each head stay as they are (GPT-NeoX's rotary_pct, Phi's
/// partial_rotary_factor).
/// On CUDA x may also be bf16 or f16, and a position outside the table gives NaN for the rotated elements of its token, since the
/// host cannot check it. (a, b) -> (a cos - b sin, b cos + a sin).
void rope_cpu(TensorView x, ConstTensorView positions, ConstTensorView table, const RopeHeads& heads, RopeDirection direction,
              const Stream& stream);
void rope_cuda(TensorView x, ConstTensorView positions, ConstTensorView table, const RopeHeads& heads, RopeDirection direction,
               const Stream& stream);

inline void rope(TensorView x, ConstTensorView positions, ConstTensorView table, const RopeHeads& heads, RopeDirection direction,
                 const Stream& stream) {
  LORA_DIST_DISPATCH(rope, stream, x, positions, table, heads, direction);
}

}  // namespace lora_dist

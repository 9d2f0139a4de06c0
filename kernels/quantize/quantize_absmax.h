// Double quantization (Dettmers et al., QLoRA, 2023): the absmax values of 4-bit blocks become 8-bit codes of bitsandbytes'
// dynamic map.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/strided_slice.h"
#include "kernels/common/tensor_view.h"
#include "kernels/quantize/quantization_blocks.h"

namespace lora_dist {

inline constexpr std::int64_t kNestedBlock = 256;  // absmax values that share one nested absmax

/// The 256 values of the signed dynamic 8-bit map that double quantization uses for absmax (bitsandbytes create_dynamic_map()).
const std::array<float, 256>& dynamic_map();

/// Double quantization of absmax. offset: the mean of all absmax of the tensor, given by the caller (a mesh must agree on it).
/// absmax: f32 [n]; codes: u8 [n]; nested_absmax: f32 [ceil(n / 256)]: absmax of (absmax - offset) over each 256;
/// the code is that of the value of dynamic_map() nearest to (absmax - offset) * (1.0f / nested_absmax), after that has been
/// rounded to one of 65,536 steps from -1 to 1, as bitsandbytes 0.50 does on the CPU. A block of zeros has codes 0.
void quantize_absmax_cpu(ConstTensorView absmax, float offset, TensorView codes, TensorView nested_absmax, const Stream& stream);
void quantize_absmax_cuda(ConstTensorView absmax, float offset, TensorView codes, TensorView nested_absmax, const Stream& stream);

/// absmax[i] = dynamic_map()[codes[i]] * nested_absmax[i / 256] + offset.
void dequantize_absmax_cpu(ConstTensorView codes, ConstTensorView nested_absmax, float offset, TensorView absmax,
                           const Stream& stream);
void dequantize_absmax_cuda(ConstTensorView codes, ConstTensorView nested_absmax, float offset, TensorView absmax,
                            const Stream& stream);

/// dequantize_absmax of a part's scales. codes: u8 and absmax: f32, both [slice.rows * scales_per_row]; nested_absmax: f32, that
/// of the whole weight.
void dequantize_absmax_part_cpu(ConstTensorView codes, ConstTensorView nested_absmax, float offset, std::int64_t block_size,
                                const StridedSlice& slice, TensorView absmax, const Stream& stream);
void dequantize_absmax_part_cuda(ConstTensorView codes, ConstTensorView nested_absmax, float offset, std::int64_t block_size,
                                 const StridedSlice& slice, TensorView absmax, const Stream& stream);

inline void quantize_absmax(ConstTensorView absmax, float offset, TensorView codes, TensorView nested_absmax,
                            const Stream& stream) {
  LORA_DIST_DISPATCH(quantize_absmax, stream, absmax, offset, codes, nested_absmax);
}
/// The nested absmax: one per block of the scales.
inline OperatorWork dequantizing_work(ConstTensorView codes, ConstTensorView absmax) {
  const std::int64_t nested = (codes.count() + kNestedBlock - 1) / kNestedBlock;
  return {.bytes = size_in_bytes(codes) + nested * static_cast<std::int64_t>(sizeof(float)) + size_in_bytes(absmax)};
}
inline void dequantize_absmax(ConstTensorView codes, ConstTensorView nested_absmax, float offset, TensorView absmax,
                              const Stream& stream) {
  LORA_DIST_DISPATCH_COUNTED(dequantize_absmax, dequantizing_work(codes, absmax), stream, codes, nested_absmax, offset, absmax);
}
inline void dequantize_absmax_part(ConstTensorView codes, ConstTensorView nested_absmax, float offset, std::int64_t block_size,
                                   const StridedSlice& slice, TensorView absmax, const Stream& stream) {
  LORA_DIST_DISPATCH_COUNTED(dequantize_absmax_part, dequantizing_work(codes, absmax), stream, codes, nested_absmax, offset,
                             block_size, slice, absmax);
}

/// Throw KernelError unless the views have the sizes above.
inline void check_absmax(ConstTensorView absmax, ConstTensorView codes, ConstTensorView nested_absmax) {
  require(codes.count() == absmax.count(), "nested nf4: codes must have a byte for every absmax");
  require(nested_absmax.count() == (absmax.count() + kNestedBlock - 1) / kNestedBlock,
          "nested nf4: nested_absmax must have a value for every 256 absmax");
}
inline void check_absmax_part(ConstTensorView codes, ConstTensorView nested_absmax, std::int64_t block_size,
                              const StridedSlice& slice, ConstTensorView absmax) {
  const std::int64_t scales = slice.rows * scales_per_row(slice, block_size);
  require(codes.count() == scales && absmax.count() == scales,
          "nested nf4 part: codes and absmax must have a value for every block that a row touches");
  require(scales == 0 || nested_absmax.count() > 0, "nested nf4 part: nested_absmax is empty");
}

}  // namespace lora_dist

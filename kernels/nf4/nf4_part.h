// Dequantizing a part of a weight that was quantized whole: its cuts may go through quantization blocks, so the part keeps the
// scale of every block that it touches.
#pragma once

#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/runs.h"
#include "kernels/common/tensor_view.h"
#include "kernels/nf4/nf4.h"

namespace lora_dist {

/// Scales that each run of a part keeps: those of the blocks that it touches. Where runs start at different places of a block,
/// room for the most that any could touch.
constexpr std::int64_t scales_per_run(const Runs& runs, std::int64_t block_size) {
  if (runs.length == 0) {
    return 0;
  }
  const bool alike = runs.count <= 1 || runs.stride % block_size == 0;
  const std::int64_t phase = alike ? runs.start % block_size : block_size - 1;
  return (phase + runs.length + block_size - 1) / block_size;
}
/// The block of the whole weight whose scale is number `scale` of the part.
constexpr std::int64_t block_of_scale(const Runs& runs, std::int64_t block_size, std::int64_t scale) {
  const std::int64_t per_run = scales_per_run(runs, block_size);
  return runs.first(scale / per_run) / block_size + scale % per_run;
}
/// Whether the part looks like a weight of its own: each block lies in it whole, but perhaps the last.
constexpr bool is_cut_between_blocks(const Runs& runs, std::int64_t block_size) {
  return runs.start % block_size == 0 && (runs.count <= 1 || (runs.stride % block_size == 0 && runs.length % block_size == 0));
}

/// values: f32 [runs.elements()], on CUDA also bf16 or f16; codes: u8 [ceil(elements / 2)], the part's own, the even element in
/// the high nibble; absmax: f32 [runs.count * scales_per_run].
void nf4_dequantize_part_cpu(ConstTensorView codes, ConstTensorView absmax, std::int64_t block_size, const Runs& runs,
                             TensorView values, FourBit code, const Stream& stream);
void nf4_dequantize_part_cuda(ConstTensorView codes, ConstTensorView absmax, std::int64_t block_size, const Runs& runs,
                              TensorView values, FourBit code, const Stream& stream);

/// nested_dequantize of a part's scales. codes: u8 and absmax: f32, both [runs.count * scales_per_run]; nested_absmax: f32, that
/// of the whole weight.
void nested_dequantize_part_cpu(ConstTensorView codes, ConstTensorView nested_absmax, float offset, std::int64_t block_size,
                                const Runs& runs, TensorView absmax, const Stream& stream);
void nested_dequantize_part_cuda(ConstTensorView codes, ConstTensorView nested_absmax, float offset, std::int64_t block_size,
                                 const Runs& runs, TensorView absmax, const Stream& stream);

inline void nf4_dequantize_part(ConstTensorView codes, ConstTensorView absmax, std::int64_t block_size, const Runs& runs,
                                TensorView values, FourBit code, const Stream& stream) {
  LORA_DIST_DISPATCH(nf4_dequantize_part, stream, codes, absmax, block_size, runs, values, code);
}
inline void nested_dequantize_part(ConstTensorView codes, ConstTensorView nested_absmax, float offset, std::int64_t block_size,
                                   const Runs& runs, TensorView absmax, const Stream& stream) {
  LORA_DIST_DISPATCH(nested_dequantize_part, stream, codes, nested_absmax, offset, block_size, runs, absmax);
}

/// Throw KernelError unless the views have the sizes above.
inline void check_nf4_part(ConstTensorView codes, ConstTensorView absmax, std::int64_t block_size, const Runs& runs,
                           ConstTensorView values) {
  require(values.count() == runs.elements() && codes.count() == (runs.elements() + 1) / 2,
          "nf4 part: values and codes must have the elements of the runs");
  require(absmax.count() == runs.count * scales_per_run(runs, block_size),
          "nf4 part: absmax must have a value for every block that a run touches");
}
inline void check_nested_part(ConstTensorView codes, ConstTensorView nested_absmax, std::int64_t block_size, const Runs& runs,
                              ConstTensorView absmax) {
  const std::int64_t scales = runs.count * scales_per_run(runs, block_size);
  require(codes.count() == scales && absmax.count() == scales,
          "nested nf4 part: codes and absmax must have a value for every block that a run touches");
  require(scales == 0 || nested_absmax.count() > 0, "nested nf4 part: nested_absmax is empty");
}

}  // namespace lora_dist

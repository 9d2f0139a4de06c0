// 4-bit weights with one absmax per block: NormalFloat-4 (Dettmers et al., QLoRA, 2023) and the 4-bit float FP4, in the byte
// format of bitsandbytes (functional.py: quantize_4bit, QuantState; csrc/kernels.cu).
#pragma once

#include <cstdint>

#include "kernels/common/block_size.h"
#include "kernels/common/dispatch.h"
#include "kernels/common/strided_slice.h"
#include "kernels/common/tensor_view.h"
#include "kernels/quantize/four_bit_tables.h"
#include "kernels/quantize/quantization_blocks.h"

namespace lora_dist {

/// Quantizes consecutive blocks of `block_size` elements (the last one may be short).
/// values: f32 [n]; codes: u8 [ceil(n / 2)], the even element in the high nibble; absmax: f32 [ceil(n / block_size)].
/// Code of x * (1.0f / absmax): thresholds are midpoints of the rising values, compared with strict >. A block of zeros has
/// absmax 0.
void quantize_4bit_cpu(ConstTensorView values, std::int64_t block_size, TensorView codes, TensorView absmax, FourBit code,
                       const Stream& stream);
void quantize_4bit_cuda(ConstTensorView values, std::int64_t block_size, TensorView codes, TensorView absmax, FourBit code,
                        const Stream& stream);

/// A quantized weight: codes and absmax as above.
struct FourBitWeight {
  ConstTensorView codes;
  ConstTensorView absmax;
  std::int64_t block_size = 0;
  FourBit code = FourBit::nf4;
};

/// values[i] = code_table(code)[code i] * absmax[i / block_size]. values: f32 [n], on CUDA also bf16 or f16 (the f32 product,
/// rounded once).
void dequantize_4bit_cpu(const FourBitWeight& weight, TensorView values, const Stream& stream);
void dequantize_4bit_cuda(const FourBitWeight& weight, TensorView values, const Stream& stream);

/// The same for a part of a weight that was quantized whole. values: f32 [slice.elements()], on CUDA also bf16 or f16; codes: u8
/// [ceil(elements / 2)], the part's own, the even element in the high nibble; absmax: f32 [slice.rows * scales_per_row].
void dequantize_4bit_part_cpu(const FourBitWeight& weight, const StridedSlice& slice, TensorView values, const Stream& stream);
void dequantize_4bit_part_cuda(const FourBitWeight& weight, const StridedSlice& slice, TensorView values, const Stream& stream);

inline void quantize_4bit(ConstTensorView values, std::int64_t block_size, TensorView codes, TensorView absmax, FourBit code,
                          const Stream& stream) {
  LORA_DIST_DISPATCH(quantize_4bit, stream, values, block_size, codes, absmax, code);
}
inline OperatorWork dequantizing_work(const FourBitWeight& weight, ConstTensorView values) {
  return {.bytes = size_in_bytes(weight.codes) + size_in_bytes(weight.absmax) + size_in_bytes(values)};
}
inline void dequantize_4bit(const FourBitWeight& weight, TensorView values, const Stream& stream) {
  LORA_DIST_DISPATCH_COUNTED(dequantize_4bit, dequantizing_work(weight, values), stream, weight, values);
}
inline void dequantize_4bit_part(const FourBitWeight& weight, const StridedSlice& slice, TensorView values,
                                 const Stream& stream) {
  LORA_DIST_DISPATCH_COUNTED(dequantize_4bit_part, dequantizing_work(weight, values), stream, weight, slice, values);
}

/// Throw KernelError unless the views have the sizes above.
inline void check_4bit(ConstTensorView values, ConstTensorView codes, ConstTensorView absmax, std::int64_t block_size) {
  require(is_block_size(block_size), "nf4: block_size must be a power of two from 32 to 4096");
  require(codes.count() == (values.count() + 1) / 2, "nf4: codes must have a byte for every two values");
  require(absmax.count() == (values.count() + block_size - 1) / block_size, "nf4: absmax must have a value for every block");
}
inline void check_4bit_part(const FourBitWeight& weight, const StridedSlice& slice, ConstTensorView values) {
  require(values.count() == slice.elements() && weight.codes.count() == (slice.elements() + 1) / 2,
          "nf4 part: values and codes must have the elements of the slice");
  require(weight.absmax.count() == slice.rows * scales_per_row(slice, weight.block_size),
          "nf4 part: absmax must have a value for every block that a row touches");
}

}  // namespace lora_dist

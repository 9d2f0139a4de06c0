// Weights in 8 bits with one absmax per row, as LLM.int8 keeps them (Dettmers et al., 2022; bitsandbytes int8_vectorwise_quant
// without a threshold).
#pragma once

#include "kernels/common/device_code.h"
#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// codes = round(values * ((1 / absmax) * 127)), half to even, each operation rounded to f32, as bitsandbytes does on the CPU;
/// absmax: the largest magnitude of a row, NaN if it holds one. values: f32 [rows, width]; codes: i8 [rows, width]; absmax: f32
/// [rows]. A row of zeros, NaN or infinity has codes 0 where the product is NaN.
void quantize_int8_cpu(ConstTensorView values, TensorView codes, TensorView absmax, const Stream& stream);
void quantize_int8_cuda(ConstTensorView values, TensorView codes, TensorView absmax, const Stream& stream);

/// values = codes * absmax * (1 / 127), multiplied in f32 in this order. values: f32 [rows, width], on CUDA also bf16 or f16 (the
/// f32 product, rounded once).
void dequantize_int8_cpu(ConstTensorView codes, ConstTensorView absmax, TensorView values, const Stream& stream);
void dequantize_int8_cuda(ConstTensorView codes, ConstTensorView absmax, TensorView values, const Stream& stream);

inline constexpr float kInt8Most = 127.0F;
inline constexpr float kInt8Step = 1.0F / 127.0F;

/// The factor of values: torch divides a number by a tensor in two steps (reciprocal, product), and so does this.
LORA_DIST_DEVICE inline float int8_inverse(float absmax) { return (1.0F / absmax) * kInt8Most; }

inline void check_int8(ConstTensorView values, ConstTensorView codes, ConstTensorView absmax) {
  require(values.shape.rank == 2 && values.shape == codes.shape, "int8: values and codes must be [rows, width]");
  require(absmax.count() == values.rows(), "int8: absmax must be [rows]");
}

inline void quantize_int8(ConstTensorView values, TensorView codes, TensorView absmax, const Stream& stream) {
  LORA_DIST_DISPATCH(quantize_int8, stream, values, codes, absmax);
}
inline void dequantize_int8(ConstTensorView codes, ConstTensorView absmax, TensorView values, const Stream& stream) {
  const std::int64_t bytes = size_in_bytes(codes) + size_in_bytes(absmax) + size_in_bytes(values);
  LORA_DIST_DISPATCH_COUNTED(dequantize_int8, OperatorWork{.bytes = bytes}, stream, codes, absmax, values);
}

}  // namespace lora_dist

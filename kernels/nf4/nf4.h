// NormalFloat-4 (Dettmers et al., QLoRA, 2023), and the 4-bit float FP4, in the byte format of bitsandbytes (functional.py:
// quantize_4bit, QuantState; csrc/kernels.cu).
#pragma once

#include <array>
#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// Which 16 values the codes stand for.
enum class FourBit : std::uint8_t { nf4, fp4 };

/// The values of NF4, rising.
inline constexpr std::array<float, 16> kNf4Code = {
    -1.0F,
    -0.6961928009986877F,
    -0.5250730514526367F,
    -0.39491748809814453F,
    -0.28444138169288635F,
    -0.18477343022823334F,
    -0.09105003625154495F,
    0.0F,
    0.07958029955625534F,
    0.16093020141124725F,
    0.24611230194568634F,
    0.33791524171829224F,
    0.44070982933044434F,
    0.5626170039176941F,
    0.7229568362236023F,
    1.0F,
};

/// The values of FP4 by code: a sign, then 0, 1/16, 8, 12, 4, 6, 2 and 3 twelfths.
inline constexpr std::array<float, 16> kFp4Code = {
    0.0F, 0.0625F / 12.0F,  8.0F / 12.0F,  1.0F,  4.0F / 12.0F,  0.5F,  2.0F / 12.0F,  0.25F,
    0.0F, -0.0625F / 12.0F, -8.0F / 12.0F, -1.0F, -4.0F / 12.0F, -0.5F, -2.0F / 12.0F, -0.25F,
};
/// The codes of FP4 by rising value; of its two zeros that with the sign comes second, as bitsandbytes sorts them on the CPU.
inline constexpr std::array<std::uint8_t, 16> kFp4Order = {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3};

constexpr std::array<float, 16> rising_fp4() {
  std::array<float, 16> rising = {};
  for (std::size_t i = 0; i < rising.size(); ++i) {
    rising[i] = kFp4Code[kFp4Order[i]];
  }
  return rising;
}
/// The values of FP4, rising.
inline constexpr std::array<float, 16> kFp4Rising = rising_fp4();

constexpr const std::array<float, 16>& code_table(FourBit code) { return code == FourBit::nf4 ? kNf4Code : kFp4Code; }

inline constexpr std::int64_t kNestedBlock = 256;  // absmax values that share one nested absmax

/// The 256 values of the signed dynamic 8-bit map that double quantization uses for absmax (bitsandbytes create_dynamic_map()).
const std::array<float, 256>& dynamic_map();

/// Quantizes consecutive blocks of `block_size` elements (the last one may be short).
/// values: f32 [n]; codes: u8 [ceil(n / 2)], the even element in the high nibble; absmax: f32 [ceil(n / block_size)].
/// Code of x * (1.0f / absmax): thresholds are midpoints of the rising values, compared with strict >. A block of zeros has
/// absmax 0.
void nf4_quantize_cpu(ConstTensorView values, std::int64_t block_size, TensorView codes, TensorView absmax, FourBit code,
                      const Stream& stream);
void nf4_quantize_cuda(ConstTensorView values, std::int64_t block_size, TensorView codes, TensorView absmax, FourBit code,
                       const Stream& stream);

/// values[i] = code_table(code)[code i] * absmax[i / block_size]. values: f32 [n], on CUDA also bf16 or f16 (the f32 product,
/// rounded once); codes and absmax as above.
void nf4_dequantize_cpu(ConstTensorView codes, ConstTensorView absmax, std::int64_t block_size, TensorView values, FourBit code,
                        const Stream& stream);
void nf4_dequantize_cuda(ConstTensorView codes, ConstTensorView absmax, std::int64_t block_size, TensorView values, FourBit code,
                         const Stream& stream);

/// Double quantization of absmax. offset: the mean of all absmax of the tensor, given by the caller (a mesh must agree on it).
/// absmax: f32 [n]; codes: u8 [n]; nested_absmax: f32 [ceil(n / 256)]: absmax of (absmax - offset) over each 256;
/// the code is that of the value of dynamic_map() nearest to (absmax - offset) * (1.0f / nested_absmax), after that has been
/// rounded to one of 65,536 steps from -1 to 1, as bitsandbytes 0.50 does on the CPU. A block of zeros has codes 0.
void nested_quantize_cpu(ConstTensorView absmax, float offset, TensorView codes, TensorView nested_absmax, const Stream& stream);
void nested_quantize_cuda(ConstTensorView absmax, float offset, TensorView codes, TensorView nested_absmax, const Stream& stream);

/// absmax[i] = dynamic_map()[codes[i]] * nested_absmax[i / 256] + offset.
void nested_dequantize_cpu(ConstTensorView codes, ConstTensorView nested_absmax, float offset, TensorView absmax,
                           const Stream& stream);
void nested_dequantize_cuda(ConstTensorView codes, ConstTensorView nested_absmax, float offset, TensorView absmax,
                            const Stream& stream);

inline void nf4_quantize(ConstTensorView values, std::int64_t block_size, TensorView codes, TensorView absmax, FourBit code,
                         const Stream& stream) {
  LORA_DIST_DISPATCH(nf4_quantize, stream, values, block_size, codes, absmax, code);
}
inline void nf4_dequantize(ConstTensorView codes, ConstTensorView absmax, std::int64_t block_size, TensorView values,
                           FourBit code, const Stream& stream) {
  LORA_DIST_DISPATCH(nf4_dequantize, stream, codes, absmax, block_size, values, code);
}
inline void nested_quantize(ConstTensorView absmax, float offset, TensorView codes, TensorView nested_absmax,
                            const Stream& stream) {
  LORA_DIST_DISPATCH(nested_quantize, stream, absmax, offset, codes, nested_absmax);
}
inline void nested_dequantize(ConstTensorView codes, ConstTensorView nested_absmax, float offset, TensorView absmax,
                              const Stream& stream) {
  LORA_DIST_DISPATCH(nested_dequantize, stream, codes, nested_absmax, offset, absmax);
}

}  // namespace lora_dist

// The CUDA side of 8-bit weights: a block of threads per row; the codes of the CPU bit for bit.
#include "kernels/quantize/quantize_int8.h"

#include <limits>

#include "kernels/common/cuda_group.h"

namespace lora_dist {
namespace {

constexpr int kMostThreads = 256;
constexpr int kGroupsPerThread = 4;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

__global__ void quantize_int8_row(const float* values, std::int8_t* codes, float* absmax, std::int64_t width) {
  const float* row = values + blockIdx.x * width;
  std::int8_t* out = codes + blockIdx.x * width;
  float top = 0.0F;
  float bad = 0.0F;
  for (std::int64_t c = threadIdx.x; c < width; c += blockDim.x) {
    const float magnitude = fabsf(row[c]);
    top = magnitude > top ? magnitude : top;
    bad = magnitude != magnitude ? 1.0F : bad;
  }
  top = block_max(top);
  bad = block_max(bad);
  if (bad > 0.0F) {
    top = kNaN;
  }
  if (threadIdx.x == 0) {
    absmax[blockIdx.x] = top;
  }
  const float inverse = int8_inverse(top);
  for (std::int64_t c = threadIdx.x; c < width; c += blockDim.x) {
    const float x = row[c] * inverse;
    const float bounded = x >= -kInt8Most ? (x <= kInt8Most ? x : kInt8Most) : (x < -kInt8Most ? -kInt8Most : 0.0F);  // NaN: 0
    out[c] = static_cast<std::int8_t>(static_cast<int>(rintf(bounded)));
  }
}

template <class T, int kCount>
__global__ void dequantize_int8_row(const std::int8_t* codes, const float* absmax, T* values, std::int64_t width) {
  const float scale = absmax[blockIdx.x];
  const std::int8_t* row = codes + blockIdx.x * width;
  T* out = values + blockIdx.x * width;
  for (std::int64_t c = static_cast<std::int64_t>(threadIdx.x) * kCount; c < width; c += blockDim.x * kCount) {
    const Group<std::int8_t, kCount> group = load_group<kCount>(row + c);
    Group<T, kCount> written;
    for (int i = 0; i < kCount; ++i) {
      written.v[i] = from_float<T>(static_cast<float>(group.v[i]) * scale * kInt8Step);
    }
    store_group(out + c, written);
  }
}

template <class T, int kCount>
void dequantize_rows(ConstTensorView codes, ConstTensorView absmax, TensorView values, const Stream& stream) {
  launch("dequantize_int8", dequantize_int8_row<T, kCount>, blocks_for(values.rows(), 1),
         threads_for(values.cols() / kCount, kGroupsPerThread, kMostThreads), 0, stream, codes.as<std::int8_t>(),
         absmax.as<float>(), floats<T>(values), values.cols());
}

}  // namespace

void quantize_int8_cuda(ConstTensorView values, TensorView codes, TensorView absmax, const Stream& stream) {
  check_int8(values, codes, absmax);
  launch("quantize_int8", quantize_int8_row, blocks_for(values.rows(), 1),
         threads_for(values.cols(), kGroupsPerThread, kMostThreads), 0, stream, values.as<float>(), codes.as<std::int8_t>(),
         absmax.as<float>(), values.cols());
}

void dequantize_int8_cuda(ConstTensorView codes, ConstTensorView absmax, TensorView values, const Stream& stream) {
  check_int8(values, codes, absmax);
  with_float_type(values.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    const bool packs = fits_groups(values.cols(), kPack, {codes.data, values.data});
    packs ? dequantize_rows<T, kPack>(codes, absmax, values, stream) : dequantize_rows<T, 1>(codes, absmax, values, stream);
  });
}

}  // namespace lora_dist

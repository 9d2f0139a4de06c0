// The CUDA side of double quantization.
#include "kernels/nf4/nf4_cuda.h"

#include <limits>

#include "kernels/common/cuda_kernel.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;
static_assert(kThreads == kNestedBlock);
constexpr int kGridTop = 65535;
constexpr int kBlocksPerMap = 4;  // how many 256 absmax share the cost of reading the map
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// How many midpoints of the map lie below the step of the grid that is nearest to `scaled` (nested_cpu.cpp says why a grid).
__device__ std::uint8_t nested_code_of(float scaled, const float* map) {
  float value = scaled >= -1.0F ? scaled : -1.0F;  // NaN too
  value = value < 1.0F ? value : 1.0F;
  const float unit = (value + 1.0F) * 0.5F;
  const float place = static_cast<float>(static_cast<double>(unit) * kGridTop + 0.5);
  const float step = 2.0F * static_cast<float>(static_cast<int>(place)) / static_cast<float>(kGridTop);
  const float on_grid = -1.0F + step;
  int low = 0;
  int high = 255;
  while (low < high) {
    const int middle = (low + high) / 2;
    if ((map[middle] + map[middle + 1]) / 2.0F < on_grid) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return static_cast<std::uint8_t>(low);
}

/// A block of threads for each 256 absmax.
__global__ void nested_quantize_block(const float* absmax, float offset, std::int64_t n, std::uint8_t* codes,
                                      float* nested_absmax, DynamicMap map) {
  __shared__ float shared_map[256];
  shared_map[threadIdx.x] = map.v[threadIdx.x];
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const float centred = i < n ? absmax[i] - offset : 0.0F;
  const float bad = block_max(centred != centred ? 1.0F : 0.0F);
  float top = block_max(fabsf(centred));
  if (bad > 0.0F) {
    top = kNaN;
  }
  if (i < n) {
    codes[i] = top == 0.0F ? 0 : nested_code_of(centred * (1.0F / top), shared_map);
  }
  if (threadIdx.x == 0) {
    nested_absmax[blockIdx.x] = top;
  }
}

/// A block of threads for each kBlocksPerMap times 256 absmax.
__global__ void nested_dequantize_blocks(const std::uint8_t* codes, const float* nested_absmax, float offset, std::int64_t n,
                                         float* absmax, DynamicMap map) {
  __shared__ float shared_map[256];
  shared_map[threadIdx.x] = map.v[threadIdx.x];
  __syncthreads();
  for (int k = 0; k < kBlocksPerMap; ++k) {
    const std::int64_t block = static_cast<std::int64_t>(blockIdx.x) * kBlocksPerMap + k;
    const std::int64_t i = block * kNestedBlock + threadIdx.x;
    if (i < n) {
      absmax[i] = __fadd_rn(__fmul_rn(shared_map[codes[i]], nested_absmax[block]), offset);  // rounded twice, as on the CPU
    }
  }
}

void check_nested(ConstTensorView absmax, ConstTensorView codes, ConstTensorView nested_absmax) {
  require(codes.count() == absmax.count(), "nested nf4: codes must have a byte for every absmax");
  require(nested_absmax.count() == (absmax.count() + kNestedBlock - 1) / kNestedBlock,
          "nested nf4: nested_absmax must have a value for every 256 absmax");
}

}  // namespace

void nested_quantize_cuda(ConstTensorView absmax, float offset, TensorView codes, TensorView nested_absmax,
                          const Stream& stream) {
  check_nested(absmax, codes, nested_absmax);
  launch("nested_quantize", nested_quantize_block, blocks_for(absmax.count(), kThreads), kThreads, 0, stream, absmax.as<float>(),
         offset, absmax.count(), codes.as<std::uint8_t>(), nested_absmax.as<float>(), table_of(dynamic_map()));
}

void nested_dequantize_cuda(ConstTensorView codes, ConstTensorView nested_absmax, float offset, TensorView absmax,
                            const Stream& stream) {
  check_nested(absmax, codes, nested_absmax);
  launch("nested_dequantize", nested_dequantize_blocks, blocks_for(absmax.count(), kBlocksPerMap * kNestedBlock), kThreads, 0,
         stream, codes.as<std::uint8_t>(), nested_absmax.as<float>(), offset, absmax.count(), absmax.as<float>(),
         table_of(dynamic_map()));
}

}  // namespace lora_dist

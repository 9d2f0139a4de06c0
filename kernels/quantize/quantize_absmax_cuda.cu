// The CUDA side of double quantization.
#include "kernels/quantize/quantize_absmax.h"

#include <limits>

#include "kernels/common/cuda_kernel.h"
#include "kernels/quantize/code_tables_cuda.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;
static_assert(kThreads == kNestedBlock && kThreads == 256, "a thread for each value of the map");
constexpr int kGridTop = 65535;
constexpr int kBlocksPerMap = 4;  // groups of 256 absmax per read of the map
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// The number of midpoints of the map below the grid point nearest to `scaled` (see quantize_absmax_cpu.cpp for the grid).
__device__ std::uint8_t absmax_code_of(float scaled, const float* map) {
  float value = scaled >= -1.0F ? scaled : -1.0F;  // NaN too
  value = value < 1.0F ? value : 1.0F;
  const float unit = (value + 1.0F) * 0.5F;
  const float step_index = static_cast<float>(static_cast<double>(unit) * kGridTop + 0.5);
  const float step = 2.0F * static_cast<float>(static_cast<int>(step_index)) / static_cast<float>(kGridTop);
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
__global__ void quantize_absmax_block(const float* absmax, float offset, std::int64_t n, std::uint8_t* codes,
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
    codes[i] = top == 0.0F ? 0 : absmax_code_of(centred * (1.0F / top), shared_map);
  }
  if (threadIdx.x == 0) {
    nested_absmax[blockIdx.x] = top;
  }
}

/// A block of threads for each kBlocksPerMap times 256 absmax.
__global__ void dequantize_absmax_blocks(const std::uint8_t* codes, const float* nested_absmax, float offset, std::int64_t n,
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

/// One thread per scale. `nested`: the number of nested scales.
__global__ void dequantize_absmax_part_scale(const std::uint8_t* codes, const float* nested_absmax, std::int64_t nested,
                                             float offset, int block_size, StridedSlice slice, std::int64_t per_row,
                                             float* absmax, DynamicMap map) {
  __shared__ float shared_map[256];
  shared_map[threadIdx.x] = map.v[threadIdx.x];
  __syncthreads();
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < slice.rows * per_row) {
    const std::int64_t block = slice.first(i / per_row) / block_size + i % per_row;
    const std::int64_t of_block = block / kNestedBlock;
    const float scale = nested_absmax[of_block < nested ? of_block : nested - 1];
    absmax[i] = __fadd_rn(__fmul_rn(shared_map[codes[i]], scale), offset);  // rounded twice, as on the CPU
  }
}

}  // namespace

void quantize_absmax_cuda(ConstTensorView absmax, float offset, TensorView codes, TensorView nested_absmax,
                          const Stream& stream) {
  check_absmax(absmax, codes, nested_absmax);
  launch("quantize_absmax", quantize_absmax_block, blocks_for(absmax.count(), kThreads), kThreads, 0, stream, absmax.as<float>(),
         offset, absmax.count(), codes.as<std::uint8_t>(), nested_absmax.as<float>(), table_of(dynamic_map()));
}

void dequantize_absmax_cuda(ConstTensorView codes, ConstTensorView nested_absmax, float offset, TensorView absmax,
                            const Stream& stream) {
  check_absmax(absmax, codes, nested_absmax);
  launch("dequantize_absmax", dequantize_absmax_blocks, blocks_for(absmax.count(), kBlocksPerMap * kNestedBlock), kThreads, 0,
         stream, codes.as<std::uint8_t>(), nested_absmax.as<float>(), offset, absmax.count(), absmax.as<float>(),
         table_of(dynamic_map()));
}

void dequantize_absmax_part_cuda(ConstTensorView codes, ConstTensorView nested_absmax, float offset, std::int64_t block_size,
                                 const StridedSlice& slice, TensorView absmax, const Stream& stream) {
  check_absmax_part(codes, nested_absmax, block_size, slice, absmax);
  launch("dequantize_absmax_part", dequantize_absmax_part_scale, blocks_for(absmax.count(), kThreads), kThreads, 0, stream,
         codes.as<std::uint8_t>(), nested_absmax.as<float>(), nested_absmax.count(), offset, static_cast<int>(block_size), slice,
         scales_per_row(slice, block_size), absmax.as<float>(), table_of(dynamic_map()));
}

}  // namespace lora_dist

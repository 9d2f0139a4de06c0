// Helpers of all CUDA kernels: launching, float types, 16-byte packs, sums in a fixed order. Only for .cu files.
//
// Kernels keep to a plain subset of CUDA (no inline PTX, no cooperative groups, no <<<>>>): tests/cuda_emulation compiles the
// same files for the CPU and runs them thread by thread, which tests indexing, barriers and results without a GPU.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/common/cuda_context.h"
#include "kernels/common/tensor_view.h"

// A block's dynamic shared memory; the emulator defines its own.
#ifndef LORA_DIST_DYNAMIC_SHARED
#define LORA_DIST_DYNAMIC_SHARED(type, name)                              \
  extern __shared__ __align__(16) unsigned char lora_dist_shared_bytes[]; \
  type* name = reinterpret_cast<type*>(lora_dist_shared_bytes)
#endif

namespace lora_dist {

inline constexpr int kWarp = 32;
inline constexpr unsigned kAllLanes = 0xFFFFFFFFU;

/// kernel<<<grid, block, shared_bytes, stream>>>(arguments...), checked. Nothing is launched for an empty grid.
template <class... Parameters, class... Arguments>
void launch(const char* name, void (*kernel)(Parameters...), dim3 grid, dim3 block, std::size_t shared_bytes,
            const Stream& stream, Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) {
    return;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = cuda_context(stream).stream;
  check_cuda(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), name);
}

/// Lets a kernel have more than 48 KB of dynamic shared memory. Call before its launch.
template <class... Parameters>
void allow_shared(void (*kernel)(Parameters...), std::size_t bytes) {
  check_cuda(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(bytes)),
             "asking for shared memory");
}

/// Blocks of `per_block` that cover n.
inline unsigned blocks_for(std::int64_t n, std::int64_t per_block) {
  const std::int64_t blocks = (n + per_block - 1) / per_block;
  require(blocks <= 0x7FFFFFFF, "a grid is too large");
  return static_cast<unsigned>(blocks);
}

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline float to_float(__half x) { return __half2float(x); }

/// Rounds to nearest even.
template <class T>
__device__ T from_float(float x);
template <>
__device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__device__ inline __half from_float<__half>(float x) {
  return __float2half_rn(x);
}

/// 16 bytes at once: 4 floats or 8 halves. The address must be a multiple of 16.
template <class T>
struct alignas(16) Pack {
  static constexpr int kCount = 16 / static_cast<int>(sizeof(T));
  T v[16 / sizeof(T)];
};
template <class T>
__device__ Pack<T> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<T>*>(from);
}
/// True when rows of `width` elements that start at these addresses can be read and written in packs.
template <class T>
bool fits_packs(std::int64_t width, const T* a, const T* b = nullptr, const T* c = nullptr) {
  const auto bits =
      reinterpret_cast<std::uintptr_t>(a) | reinterpret_cast<std::uintptr_t>(b) | reinterpret_cast<std::uintptr_t>(c);
  return bits % 16 == 0 && width % Pack<T>::kCount == 0;
}

/// The sum over the 32 lanes, with the same bits on each lane.
__device__ inline float warp_sum(float value) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, lanes);
  }
  return value;
}
__device__ inline float warp_max(float value) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kAllLanes, value, lanes));
  }
  return value;
}

/// The sum over a one-dimensional block of whole warps, added warp by warp, with the same bits on each thread. Every thread must
/// call it.
__device__ inline float block_sum(float value) {
  __shared__ float of_warps[kWarp];
  value = warp_sum(value);
  __syncthreads();  // an earlier call's sums have been read
  if (threadIdx.x % kWarp == 0) {
    of_warps[threadIdx.x / kWarp] = value;
  }
  __syncthreads();
  float sum = 0.0F;
  for (unsigned warp = 0; warp < blockDim.x / kWarp; ++warp) {
    sum += of_warps[warp];
  }
  return sum;
}
__device__ inline float block_max(float value) {
  __shared__ float of_warps[kWarp];
  value = warp_max(value);
  __syncthreads();
  if (threadIdx.x % kWarp == 0) {
    of_warps[threadIdx.x / kWarp] = value;
  }
  __syncthreads();
  float largest = of_warps[0];
  for (unsigned warp = 1; warp < blockDim.x / kWarp; ++warp) {
    largest = fmaxf(largest, of_warps[warp]);
  }
  return largest;
}

template <class T>
struct DeviceDType;
template <>
struct DeviceDType<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DeviceDType<__nv_bfloat16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DeviceDType<__half> {
  static constexpr DType value = DType::f16;
};

/// The view's memory as T, one of the three float types; throws KernelError when it holds another.
template <class T>
T* floats(TensorView view) {
  require(view.dtype == DeviceDType<T>::value, "a view was written as another dtype");
  return static_cast<T*>(view.data);
}
template <class T>
const T* floats(ConstTensorView view) {
  require(view.dtype == DeviceDType<T>::value, "a view was read as another dtype");
  return static_cast<const T*>(view.data);
}

/// Calls work(T{}) with T the float type of `dtype`; throws KernelError for other dtypes.
template <class Work>
void with_float_type(DType dtype, Work work) {
  switch (dtype) {
    case DType::f32:
      work(float{});
      return;
    case DType::bf16:
      work(__nv_bfloat16{});
      return;
    case DType::f16:
      work(__half{});
      return;
    default:
      require(false, "an operator was given a dtype that is no float");
  }
}

}  // namespace lora_dist

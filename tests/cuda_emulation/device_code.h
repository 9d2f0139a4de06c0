// The CUDA features that kernels may use, for the CPU: qualifiers, built-in variables, barriers, warp intrinsics, atomics and
// arithmetic. Kernels must not use missing ones (float atomics give different bits in every run).
#pragma once

#include <math.h>  // NOLINT(modernize-deprecated-headers): the names without std:: as well

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#define __host__
#define __device__
#define __global__
#define __constant__ static
#define __shared__ static thread_local  // the threads of a block are fibers of one thread
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define LORA_DIST_DYNAMIC_SHARED(type, name) type* name = static_cast<type*>(::lora_dist::emulation::dynamic_shared())

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}  // NOLINT: implicit as in CUDA
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline constinit thread_local uint3 threadIdx = {0, 0, 0};
inline constinit thread_local uint3 blockIdx = {0, 0, 0};
inline constinit thread_local dim3 blockDim;
inline constinit thread_local dim3 gridDim;
inline constexpr int warpSize = 32;

namespace lora_dist::emulation {

/// Waits until every thread of the block has arrived or returned.
void block_barrier();
/// Waits until all 32 lanes are at this intrinsic and returns their bits. Ends the program with a message if a lane is elsewhere.
const std::uint64_t* exchange(const char* intrinsic, unsigned mask, std::uint64_t bits);
/// The calling thread's number within its warp.
int lane();
/// The block's memory of the launch's dynamicSmemBytes.
void* dynamic_shared();

template <class T>
std::uint64_t bits_of(T value) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  return bits;
}
template <class T>
T value_of(std::uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace lora_dist::emulation

inline void __syncthreads() { lora_dist::emulation::block_barrier(); }
inline void __syncwarp(unsigned mask = 0xFFFFFFFFU) { lora_dist::emulation::exchange("__syncwarp", mask, 0); }
inline void __threadfence() {}
inline void __threadfence_block() {}

/// The source lane within a segment of `width` lanes, or the lane itself if the CUDA guide says that the value is unchanged.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const std::uint64_t* bits = lora_dist::emulation::exchange("__shfl_sync", mask, lora_dist::emulation::bits_of(value));
  const int lane = lora_dist::emulation::lane();
  return lora_dist::emulation::value_of<T>(bits[(lane & ~(width - 1)) | (source & (width - 1))]);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const std::uint64_t* bits = lora_dist::emulation::exchange("__shfl_down_sync", mask, lora_dist::emulation::bits_of(value));
  const int lane = lora_dist::emulation::lane();
  const int from = (lane & (width - 1)) + static_cast<int>(delta) < width ? lane + static_cast<int>(delta) : lane;
  return lora_dist::emulation::value_of<T>(bits[from]);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const std::uint64_t* bits = lora_dist::emulation::exchange("__shfl_up_sync", mask, lora_dist::emulation::bits_of(value));
  const int lane = lora_dist::emulation::lane();
  const int from = (lane & (width - 1)) >= static_cast<int>(delta) ? lane - static_cast<int>(delta) : lane;
  return lora_dist::emulation::value_of<T>(bits[from]);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
  const std::uint64_t* bits = lora_dist::emulation::exchange("__shfl_xor_sync", mask, lora_dist::emulation::bits_of(value));
  const int lane = lora_dist::emulation::lane();
  const int from = lane ^ lane_mask;
  return lora_dist::emulation::value_of<T>(bits[from / width <= lane / width && from < 32 ? from : lane]);
}
inline unsigned __ballot_sync(unsigned mask, int predicate) {
  const std::uint64_t* bits = lora_dist::emulation::exchange("__ballot_sync", mask, predicate != 0 ? 1 : 0);
  unsigned ballot = 0;
  for (int i = 0; i < 32; ++i) {
    ballot |= static_cast<unsigned>(bits[i]) << i;
  }
  return ballot;
}
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0 ? 1 : 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) == 0xFFFFFFFFU ? 1 : 0; }

/// One fiber runs at a time, so plain arithmetic is atomic.
template <class T>
requires std::is_same_v<T, int> || std::is_same_v<T, unsigned> || std::is_same_v<T, unsigned long long> T
atomicAdd(T* address, std::type_identity_t<T> value) {
  const T before = *address;
  *address = static_cast<T>(before + value);
  return before;
}
template <class T>
requires std::is_same_v<T, int> || std::is_same_v<T, unsigned> || std::is_same_v<T, unsigned long long> T
atomicMax(T* address, std::type_identity_t<T> value) {
  const T before = *address;
  *address = before < value ? value : before;
  return before;
}
template <class T>
requires std::is_same_v<T, int> || std::is_same_v<T, unsigned> || std::is_same_v<T, unsigned long long> T
atomicOr(T* address, std::type_identity_t<T> value) {
  const T before = *address;
  *address = before | value;
  return before;
}

inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float rsqrtf(float x) { return 1.0F / sqrtf(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __frcp_rn(float x) { return 1.0F / x; }
inline int __float2int_rn(float x) { return static_cast<int>(lrintf(x)); }
inline long long __float2ll_rn(float x) { return llrintf(x); }
inline unsigned __umulhi(unsigned x, unsigned y) { return static_cast<unsigned>((std::uint64_t{x} * y) >> 32); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }
template <class T>
T __ldg(const T* address) {
  return *address;
}
template <class T>
requires std::is_arithmetic_v<T>
constexpr T min(T x, std::type_identity_t<T> y) { return y < x ? y : x; }
template <class T>
requires std::is_arithmetic_v<T>
constexpr T max(T x, std::type_identity_t<T> y) { return x < y ? y : x; }

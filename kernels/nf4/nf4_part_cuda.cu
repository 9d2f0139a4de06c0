// The CUDA side of nf4_part.h: a thread a byte of codes, or a scale. Only cuts that go through quantization blocks come here with
// their codes; the scales of every part do.
#include "kernels/common/cuda_kernel.h"
#include "kernels/nf4/nf4_cuda.h"
#include "kernels/nf4/nf4_part.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;

__device__ float part_value(unsigned code, const float* absmax, int block_size, const Runs& runs, std::int64_t per_run,
                            std::int64_t i, const float* table) {
  const std::int64_t run = i / runs.length;
  const std::int64_t first = runs.start + run * runs.stride;
  const std::int64_t whole = first + i % runs.length;
  return table[code] * absmax[run * per_run + whole / block_size - first / block_size];
}

template <class T>
__global__ void nf4_dequantize_part_byte(const std::uint8_t* codes, const float* absmax, int block_size, Runs runs,
                                         std::int64_t per_run, T* values, FourBitTable table) {
  __shared__ float shared_table[16];
  if (threadIdx.x < 16) {
    shared_table[threadIdx.x] = table.v[threadIdx.x];
  }
  __syncthreads();
  const std::int64_t i = 2 * (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x);
  const std::int64_t n = runs.count * runs.length;
  if (i < n) {
    const unsigned byte = codes[i / 2];
    values[i] = from_float<T>(part_value(byte >> 4, absmax, block_size, runs, per_run, i, shared_table));
    if (i + 1 < n) {
      values[i + 1] = from_float<T>(part_value(byte & 15U, absmax, block_size, runs, per_run, i + 1, shared_table));
    }
  }
}

/// `nested`: how many nested scales there are.
__global__ void nested_dequantize_part_scale(const std::uint8_t* codes, const float* nested_absmax, std::int64_t nested,
                                             float offset, int block_size, Runs runs, std::int64_t per_run, float* absmax,
                                             DynamicMap map) {
  __shared__ float shared_map[256];
  shared_map[threadIdx.x] = map.v[threadIdx.x];
  __syncthreads();
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i < runs.count * per_run) {
    const std::int64_t block = (runs.start + i / per_run * runs.stride) / block_size + i % per_run;
    const std::int64_t of_block = block / kNestedBlock;
    const float scale = nested_absmax[of_block < nested ? of_block : nested - 1];
    absmax[i] = __fadd_rn(__fmul_rn(shared_map[codes[i]], scale), offset);  // rounded twice, as on the CPU
  }
}

}  // namespace

void nf4_dequantize_part_cuda(ConstTensorView codes, ConstTensorView absmax, std::int64_t block_size, const Runs& runs,
                              TensorView values, FourBit code, const Stream& stream) {
  check_nf4_part(codes, absmax, block_size, runs, values);
  with_float_type(values.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("nf4_dequantize_part", nf4_dequantize_part_byte<T>, blocks_for(codes.count(), kThreads), kThreads, 0, stream,
           codes.as<std::uint8_t>(), absmax.as<float>(), static_cast<int>(block_size), runs, scales_per_run(runs, block_size),
           floats<T>(values), table_of(code_table(code)));
  });
}

void nested_dequantize_part_cuda(ConstTensorView codes, ConstTensorView nested_absmax, float offset, std::int64_t block_size,
                                 const Runs& runs, TensorView absmax, const Stream& stream) {
  check_nested_part(codes, nested_absmax, block_size, runs, absmax);
  static_assert(kThreads == 256, "a thread for each value of the map");
  launch("nested_dequantize_part", nested_dequantize_part_scale, blocks_for(absmax.count(), kThreads), kThreads, 0, stream,
         codes.as<std::uint8_t>(), nested_absmax.as<float>(), nested_absmax.count(), offset, static_cast<int>(block_size), runs,
         scales_per_run(runs, block_size), absmax.as<float>(), table_of(dynamic_map()));
}

}  // namespace lora_dist

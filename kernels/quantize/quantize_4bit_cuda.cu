// The CUDA side of NF4 and FP4: the codes of the CPU bit for bit, and dequantization at the pace of memory.
#include "kernels/quantize/quantize_4bit.h"

#include <bit>
#include <limits>

#include "kernels/common/cuda_group.h"
#include "kernels/common/cuda_kernel.h"
#include "kernels/quantize/code_tables_cuda.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;
constexpr int kWarpsPerBlock = kThreads / kWarp;
constexpr int kWordsPerThread = 4;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// The tables for quantizing: rising values, and the code of each.
struct FourBitCodes {
  FourBitTable rising;
  std::uint8_t code[16];
  int zero;  // the code of 0
};

FourBitCodes codes_for(FourBit code) {
  const bool nf4 = code == FourBit::nf4;
  FourBitCodes codes = {table_of(nf4 ? kNf4Code : kFp4Rising), {}, nf4 ? 7 : 0};
  for (int i = 0; i < 16; ++i) {
    codes.code[i] = nf4 ? static_cast<std::uint8_t>(i) : kFp4Order[static_cast<std::size_t>(i)];
  }
  return codes;
}

__device__ int four_bit_code_of(float x, const FourBitCodes& table) {
  int below = 0;
  for (int t = 0; t < 15; ++t) {
    below += x > (table.rising.v[t] + table.rising.v[t + 1]) / 2.0F ? 1 : 0;
  }
  return table.code[below];
}

/// One warp per quantization block. Both values of a byte belong to one lane.
__global__ void quantize_4bit_block(const float* values, std::int64_t n, std::int64_t block_size, std::uint8_t* codes,
                                    float* absmax, FourBitCodes table) {
  const std::int64_t block = static_cast<std::int64_t>(blockIdx.x) * kWarpsPerBlock + threadIdx.x / kWarp;
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const std::int64_t begin = block * block_size;
  const std::int64_t end = begin + block_size < n ? begin + block_size : n;
  float top = 0.0F;
  float bad = 0.0F;
  for (std::int64_t i = begin + lane; i < end; i += kWarp) {
    const float magnitude = fabsf(values[i]);
    top = magnitude > top ? magnitude : top;
    bad = magnitude != magnitude ? 1.0F : bad;
  }
  top = warp_max(top);
  bad = warp_max(bad);
  if (bad > 0.0F) {
    top = kNaN;
  }
  const float inverse = 1.0F / (top < 1e-38F ? 1e-38F : top);
  for (std::int64_t i = begin + 2 * lane; i < end; i += 2 * kWarp) {
    const int high = four_bit_code_of(values[i] * inverse, table);
    const int low =
        i + 1 < end ? four_bit_code_of(values[i + 1] * inverse, table) : table.zero;  // the code of the padding element
    codes[i / 2] = static_cast<std::uint8_t>(high << 4 | low);
  }
  if (lane == 0 && begin < end) {
    absmax[block] = top;
  }
}

/// A word of codes, two per byte.
template <int kCount>
struct FourBitWord;
template <>
struct FourBitWord<2> {
  using Type = std::uint8_t;
};
template <>
struct FourBitWord<4> {
  using Type = std::uint16_t;
};
template <>
struct FourBitWord<8> {
  using Type = std::uint32_t;
};

/// Each thread handles kWordsPerThread words of kCount codes, a block's width apart, so that a warp's accesses are contiguous;
/// kCount is a pack, or 2 for unaligned views. Each lane has its own table in its own bank of shared memory: no bank conflicts,
/// and memory bandwidth is the limit.
template <class T, int kCount>
__global__ void dequantize_4bit_words(const std::uint8_t* codes, const float* absmax, int block_shift, T* values, std::int64_t n,
                                      FourBitTable table) {
  using Word = typename FourBitWord<kCount>::Type;
  __shared__ float tables[16 * kWarp];
  if (threadIdx.x < kWarp) {
    for (int code = 0; code < 16; ++code) {
      tables[code * kWarp + threadIdx.x] = table.v[code];
    }
  }
  __syncthreads();
  const float* own = tables + threadIdx.x % kWarp;
  const std::int64_t words = n / kCount;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * (kThreads * kWordsPerThread) + threadIdx.x;
  unsigned word[kWordsPerThread] = {};
  float scale[kWordsPerThread] = {};
  for (int k = 0; k < kWordsPerThread; ++k) {  // all loads are issued before the first is used
    const std::int64_t w = first + k * kThreads;
    if (w < words) {
      word[k] = reinterpret_cast<const Word*>(codes)[w];
      scale[k] = absmax[(w * kCount) >> block_shift];  // of all its values: a block has at least 32
    }
  }
  for (int k = 0; k < kWordsPerThread; ++k) {
    const std::int64_t w = first + k * kThreads;
    Group<T, kCount> group;
    for (int i = 0; i < kCount; ++i) {  // value i: byte i / 2, the even one in its high half
      const unsigned code = word[k] >> (i / 2 * 8 + (i % 2 == 0 ? 4 : 0)) & 15U;
      group.v[i] = from_float<T>(own[code * kWarp] * scale[k]);
    }
    if (w < words && kCount > 2) {
      store_group(values + w * kCount, group);
    } else if (w < words) {
      values[2 * w] = group.v[0];
      values[2 * w + 1] = group.v[1];
    }
  }
  const std::int64_t rest = words * kCount + threadIdx.x;  // fewer than a word
  if (blockIdx.x == 0 && rest < n) {
    const unsigned byte = codes[rest / 2];
    values[rest] = from_float<T>(own[(rest % 2 == 0 ? byte >> 4 : byte & 15U) * kWarp] * absmax[rest >> block_shift]);
  }
}

__device__ float part_value(unsigned code, const float* absmax, int block_size, const StridedSlice& slice, std::int64_t per_row,
                            std::int64_t i, const float* table) {
  const std::int64_t row = i / slice.width;
  const std::int64_t first = slice.first(row);
  const std::int64_t whole = first + i % slice.width;
  return table[code] * absmax[row * per_row + whole / block_size - first / block_size];
}

/// One thread per byte of codes. Used only for parts that begin or end inside a block.
template <class T>
__global__ void dequantize_4bit_part_byte(const std::uint8_t* codes, const float* absmax, int block_size, StridedSlice slice,
                                          std::int64_t per_row, T* values, FourBitTable table) {
  __shared__ float shared_table[16];
  if (threadIdx.x < 16) {
    shared_table[threadIdx.x] = table.v[threadIdx.x];
  }
  __syncthreads();
  const std::int64_t i = 2 * (static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x);
  const std::int64_t n = slice.rows * slice.width;
  if (i < n) {
    const unsigned byte = codes[i / 2];
    values[i] = from_float<T>(part_value(byte >> 4, absmax, block_size, slice, per_row, i, shared_table));
    if (i + 1 < n) {
      values[i + 1] = from_float<T>(part_value(byte & 15U, absmax, block_size, slice, per_row, i + 1, shared_table));
    }
  }
}

template <class T, int kCount>
void dequantize_words(ConstTensorView codes, ConstTensorView absmax, int block_shift, TensorView values, FourBit code,
                      const Stream& stream) {
  launch("dequantize_4bit", dequantize_4bit_words<T, kCount>, blocks_for(values.count(), kCount * kWordsPerThread * kThreads),
         kThreads, 0, stream, codes.as<std::uint8_t>(), absmax.as<float>(), block_shift, floats<T>(values), values.count(),
         table_of(code_table(code)));
}

}  // namespace

void quantize_4bit_cuda(ConstTensorView values, std::int64_t block_size, TensorView codes, TensorView absmax, FourBit code,
                        const Stream& stream) {
  check_4bit(values, codes, absmax, block_size);
  launch("quantize_4bit", quantize_4bit_block, blocks_for(absmax.count(), kWarpsPerBlock), kThreads, 0, stream,
         values.as<float>(), values.count(), block_size, codes.as<std::uint8_t>(), absmax.as<float>(), codes_for(code));
}

void dequantize_4bit_cuda(const FourBitWeight& weight, TensorView values, const Stream& stream) {
  check_4bit(values, weight.codes, weight.absmax, weight.block_size);
  const int block_shift = std::countr_zero(static_cast<std::uint64_t>(weight.block_size));
  with_float_type(values.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    const bool packs = fits_groups(0, kPack, {values.data}) && reinterpret_cast<std::uintptr_t>(weight.codes.data) % 4 == 0;
    packs ? dequantize_words<T, kPack>(weight.codes, weight.absmax, block_shift, values, weight.code, stream)
          : dequantize_words<T, 2>(weight.codes, weight.absmax, block_shift, values, weight.code, stream);
  });
}

void dequantize_4bit_part_cuda(const FourBitWeight& weight, const StridedSlice& slice, TensorView values, const Stream& stream) {
  check_4bit_part(weight, slice, values);
  with_float_type(values.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("dequantize_4bit_part", dequantize_4bit_part_byte<T>, blocks_for(weight.codes.count(), kThreads), kThreads, 0, stream,
           weight.codes.as<std::uint8_t>(), weight.absmax.as<float>(), static_cast<int>(weight.block_size), slice,
           scales_per_row(slice, weight.block_size), floats<T>(values), table_of(code_table(weight.code)));
  });
}

}  // namespace lora_dist

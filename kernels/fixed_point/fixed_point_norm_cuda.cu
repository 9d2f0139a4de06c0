// The CUDA side of the norm in fixed point. Integers are added by atomics: their order does not matter.
#include "kernels/common/cuda_kernel.h"
#include "kernels/common/device.h"
#include "kernels/fixed_point/fixed_point_norm.h"

namespace lora_dist {
namespace {

constexpr int kNormThreads = 256;
constexpr std::int64_t kNormPiece = 4096;

__device__ unsigned long long magnitude_of(std::int64_t value) {
  return static_cast<unsigned long long>(value < 0 ? -value : value);
}

__global__ void largest_of_piece(const std::int64_t* sums, unsigned long long* largest, std::int64_t n) {
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * kNormPiece;
  const std::int64_t end = begin + kNormPiece < n ? begin + kNormPiece : n;
  unsigned long long own = 0;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += kNormThreads) {
    const unsigned long long value = magnitude_of(sums[i]);
    own = value > own ? value : own;
  }
  if (own > 0) {
    atomicMax(largest, own);
  }
}

__global__ void squares_of_piece(const std::int64_t* sums, int shift, unsigned long long* squares, std::int64_t n) {
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * kNormPiece;
  const std::int64_t end = begin + kNormPiece < n ? begin + kNormPiece : n;
  const unsigned long long half = shift == 0 ? 0ULL : 1ULL << (shift - 1);
  unsigned long long high = 0;
  unsigned long long low = 0;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += kNormThreads) {
    const unsigned long long q = (magnitude_of(sums[i]) + half) >> shift;
    high += (q * q) >> kSquareBits;
    low += (q * q) & ((1ULL << kSquareBits) - 1ULL);
  }
  if (high > 0 || low > 0) {
    atomicAdd(&squares[0], high);
    atomicAdd(&squares[1], low);
  }
}

/// Fills `count` zeroed integers of the operators' scratch with `work`, and returns them on the host.
template <int count, class Work>
void integers_from(const Stream& stream, unsigned long long* out, Work work) {
  auto* there = static_cast<unsigned long long*>(operator_scratch(stream, count * sizeof(unsigned long long)));
  check_cuda(cudaMemsetAsync(there, 0, count * sizeof(unsigned long long), cuda_context(stream).stream), "filling with zeros");
  work(there);
  synchronize(stream);
  copy_bytes(out, there, count * sizeof(unsigned long long), stream);
  synchronize(stream);
}

}  // namespace

std::int64_t fixed_point_largest_cuda(ConstTensorView sums, const Stream& stream) {
  unsigned long long largest = 0;
  if (const std::int64_t n = sums.count(); n > 0) {
    integers_from<1>(stream, &largest, [&](unsigned long long* there) {
      launch("fixed_point_largest", largest_of_piece, blocks_for(n, kNormPiece), kNormThreads, 0, stream, sums.as<std::int64_t>(),
             there, n);
    });
  }
  return static_cast<std::int64_t>(largest);
}

SquareSum fixed_point_squares_cuda(ConstTensorView sums, int shift, const Stream& stream) {
  unsigned long long squares[2] = {0, 0};
  if (const std::int64_t n = sums.count(); n > 0) {
    integers_from<2>(stream, squares, [&](unsigned long long* there) {
      launch("fixed_point_squares", squares_of_piece, blocks_for(n, kNormPiece), kNormThreads, 0, stream, sums.as<std::int64_t>(),
             shift, there, n);
    });
  }
  return {static_cast<std::int64_t>(squares[0]), static_cast<std::int64_t>(squares[1])};
}

}  // namespace lora_dist

// The CUDA side of 64-bit fixed point: the sums have the bits of the CPU's.
#include "kernels/fixed_point/fixed_point.h"

#include <vector>

#include "kernels/common/cuda_kernel.h"
#include "kernels/common/device.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;
constexpr int kElementsPerThread = 4;  // of fixed_point_add
constexpr std::int64_t kPiece = 4096;
constexpr double kUnitsPerOne = 0x1p44;
static_assert(kUnitsPerOne == static_cast<double>(std::int64_t{1} << kFixedPointBits));

// Rejected values are counted as integers, per block and then over blocks, so the order does not matter.
__global__ void fixed_point_add_elements(const float* values, double factor, std::int64_t* sums, double limit, std::int64_t n,
                                         unsigned long long* refused) {
  __shared__ unsigned of_block;
  if (threadIdx.x == 0) {
    of_block = 0;
  }
  __syncthreads();
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * (kThreads * kElementsPerThread) + threadIdx.x;
  float read[kElementsPerThread];
  std::int64_t sum[kElementsPerThread];
  for (int k = 0; k < kElementsPerThread; ++k) {  // all loads are issued before the first is used
    const std::int64_t i = first + k * kThreads;
    read[k] = i < n ? values[i] : 0.0F;
    sum[k] = i < n ? sums[i] : 0;
  }
  unsigned own = 0;
  for (int k = 0; k < kElementsPerThread; ++k) {
    const std::int64_t i = first + k * kThreads;
    const double value = static_cast<double>(read[k]) * factor;
    if (i < n && fabs(value) < limit) {  // false for NaN
      sums[i] = sum[k] + llrint(value * kUnitsPerOne);
    } else if (i < n) {
      ++own;
    }
  }
  if (own > 0) {
    atomicAdd(&of_block, own);
  }
  __syncthreads();
  if (threadIdx.x == 0 && of_block > 0) {
    atomicAdd(refused, static_cast<unsigned long long>(of_block));
  }
}

// A block reads a piece. Each thread adds its squares in turn; those sums are added as a tree.
__global__ void fixed_point_read_piece(const std::int64_t* sums, float* values, double* squares, std::int64_t n) {
  __shared__ double of_threads[kThreads];
  const std::int64_t begin = static_cast<std::int64_t>(blockIdx.x) * kPiece;
  const std::int64_t end = begin + kPiece < n ? begin + kPiece : n;
  double sum = 0.0;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const float value = static_cast<float>(sums[i]) * 0x1p-44F;  // the conversion rounds, the product is exact
    values[i] = value;
    sum += static_cast<double>(value) * static_cast<double>(value);  // exact too: fused or not, the sum has the same bits
  }
  of_threads[threadIdx.x] = sum;
  for (unsigned half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) {
      of_threads[threadIdx.x] += of_threads[threadIdx.x + half];
    }
  }
  if (threadIdx.x == 0) {
    squares[blockIdx.x] = of_threads[0];
  }
}

}  // namespace

std::int64_t fixed_point_add_cuda(ConstTensorView values, float factor, TensorView sums, float limit, const Stream& stream) {
  require(values.count() == sums.count(), "fixed_point_add: values and sums must have equal counts");
  require(limit <= kFixedPointLimit, "fixed_point_add: limit must be at most kFixedPointLimit");
  const std::int64_t n = values.count();
  auto* refused = static_cast<unsigned long long*>(operator_scratch(stream, sizeof(unsigned long long)));
  check_cuda(cudaMemsetAsync(refused, 0, sizeof *refused, cuda_context(stream).stream), "filling with zeros");
  launch("fixed_point_add", fixed_point_add_elements, blocks_for(n, kThreads * kElementsPerThread), kThreads, 0, stream,
         values.as<float>(), static_cast<double>(factor), sums.as<std::int64_t>(), static_cast<double>(limit), n, refused);
  unsigned long long count = 0;
  synchronize(stream);  // first, since a copy to pageable memory may wait inside CUDA
  copy_bytes(&count, refused, sizeof count, stream);
  synchronize(stream);
  return static_cast<std::int64_t>(count);
}

double fixed_point_read_cuda(ConstTensorView sums, TensorView values, const Stream& stream) {
  require(values.count() == sums.count(), "fixed_point_read: values and sums must have equal counts");
  const unsigned pieces = blocks_for(sums.count(), kPiece);
  std::vector<double> squares(pieces);
  auto* of_pieces = static_cast<double*>(operator_scratch(stream, pieces * sizeof(double)));
  launch("fixed_point_read", fixed_point_read_piece, pieces, kThreads, 0, stream, sums.as<std::int64_t>(), values.as<float>(),
         of_pieces, sums.count());
  synchronize(stream);
  copy_bytes(squares.data(), of_pieces, pieces * sizeof(double), stream);
  synchronize(stream);
  double total = 0.0;
  for (const double piece : squares) {
    total += piece;
  }
  return total;
}

}  // namespace lora_dist

// The CUDA side of gather_rows and scatter_rows: a block of threads for each row that is written.
#include "kernels/elementwise/rows.h"

#include <limits>

#include "kernels/common/cuda_group.h"
#include "kernels/common/cuda_kernel.h"

namespace lora_dist {
namespace {

constexpr int kMostThreads = 256;
constexpr int kGroupsPerThread = 2;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

/// to = from, or `filling` in every element where `from` is null. The whole block calls it.
template <class T, int kCount>
__device__ void write_row(const T* from, float filling, T* to, std::int64_t width) {
  Group<T, kCount> group;
  for (int i = 0; i < kCount; ++i) {
    group.v[i] = from_float<T>(filling);
  }
  for (std::int64_t c = static_cast<std::int64_t>(threadIdx.x) * kCount; c < width; c += blockDim.x * kCount) {
    store_group(to + c, from != nullptr ? load_group<kCount>(from + c) : group);
  }
}

template <class T, int kCount>
__global__ void gather_row(const T* x, const std::int32_t* index, T* out, std::int64_t tokens, std::int64_t width) {
  const std::int64_t from = index[blockIdx.x];
  const bool known = from >= 0 && from < tokens;
  write_row<T, kCount>(known ? x + from * width : nullptr, kNaN, out + blockIdx.x * width, width);
}

// Each row of x searches for itself in the rising indices, so that every row is written once (zeros if absent).
template <class T, int kCount>
__global__ void scatter_row(const T* rows, const std::int32_t* index, std::int64_t n, T* x, std::int64_t width) {
  const std::int64_t row = blockIdx.x;
  std::int64_t low = 0;
  std::int64_t high = n;
  while (low < high) {  // to the first index that is not below `row`
    const std::int64_t middle = (low + high) / 2;
    if (index[middle] < row) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const bool picked = low < n && index[low] == row;
  // An index outside x would lose its row silently: the first and last index reveal it and set all of x to NaN.
  const bool outside = n > 0 && (index[0] < 0 || index[n - 1] >= static_cast<std::int64_t>(gridDim.x));
  write_row<T, kCount>(picked && !outside ? rows + low * width : nullptr, outside ? kNaN : 0.0F, x + row * width, width);
}

template <class T, int kCount>
void gather(ConstTensorView x, ConstTensorView index, TensorView out, const Stream& stream) {
  launch("gather_rows", gather_row<T, kCount>, blocks_for(out.rows(), 1),
         threads_for(x.cols() / kCount, kGroupsPerThread, kMostThreads), 0, stream, floats<T>(x), index.as<std::int32_t>(),
         floats<T>(out), x.rows(), x.cols());
}

template <class T, int kCount>
void scatter(ConstTensorView rows, ConstTensorView index, TensorView x, const Stream& stream) {
  launch("scatter_rows", scatter_row<T, kCount>, blocks_for(x.rows(), 1),
         threads_for(x.cols() / kCount, kGroupsPerThread, kMostThreads), 0, stream, floats<T>(rows), index.as<std::int32_t>(),
         index.count(), floats<T>(x), x.cols());
}

}  // namespace

void gather_rows_cuda(ConstTensorView x, ConstTensorView index, TensorView out, const Stream& stream) {
  check_rows(x, index, out);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    const bool packs = fits_groups(x.cols(), kPack, {x.data, out.data});
    packs ? gather<T, kPack>(x, index, out, stream) : gather<T, 1>(x, index, out, stream);
  });
}

void scatter_rows_cuda(ConstTensorView rows, ConstTensorView index, TensorView x, const Stream& stream) {
  check_rows(x, index, rows);
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    const bool packs = fits_groups(x.cols(), kPack, {rows.data, x.data});
    packs ? scatter<T, kPack>(rows, index, x, stream) : scatter<T, 1>(rows, index, x, stream);
  });
}

}  // namespace lora_dist

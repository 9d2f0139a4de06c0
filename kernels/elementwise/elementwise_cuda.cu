// The CUDA side of the element-wise sums: 16 bytes a thread where addresses allow, else an element.
#include "kernels/elementwise/elementwise.h"

#include "kernels/common/cuda_group.h"
#include "kernels/common/cuda_kernel.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;

template <class T, int kCount>
__global__ void add_to_elements(const T* x, T* y, std::int64_t groups) {
  const std::int64_t g = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (g >= groups) {
    return;
  }
  const Group<T, kCount> added = load_group<kCount>(x + g * kCount);
  Group<T, kCount> sum = load_group<kCount>(y + g * kCount);
  for (int i = 0; i < kCount; ++i) {
    sum.v[i] = from_float<T>(to_float(sum.v[i]) + to_float(added.v[i]));
  }
  store_group(y + g * kCount, sum);
}

template <class T, int kCount>
__global__ void scale_elements(T* x, float factor, std::int64_t groups) {
  const std::int64_t g = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (g >= groups) {
    return;
  }
  Group<T, kCount> scaled = load_group<kCount>(x + g * kCount);
  for (int i = 0; i < kCount; ++i) {
    scaled.v[i] = from_float<T>(to_float(scaled.v[i]) * factor);
  }
  store_group(x + g * kCount, scaled);
}

template <class T, int kCount>
__global__ void soft_cap_elements(T* x, float cap, std::int64_t groups) {
  const std::int64_t g = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (g >= groups) {
    return;
  }
  Group<T, kCount> capped = load_group<kCount>(x + g * kCount);
  for (int i = 0; i < kCount; ++i) {
    capped.v[i] = from_float<T>(cap * tanhf(to_float(capped.v[i]) / cap));
  }
  store_group(x + g * kCount, capped);
}

template <class T, int kCount>
void add_groups(ConstTensorView x, TensorView y, const Stream& stream) {
  const std::int64_t groups = x.count() / kCount;
  launch("add_to", add_to_elements<T, kCount>, blocks_for(groups, kThreads), kThreads, 0, stream, floats<T>(x), floats<T>(y),
         groups);
}

template <class T, int kCount>
void scale_groups(TensorView x, float factor, const Stream& stream) {
  const std::int64_t groups = x.count() / kCount;
  launch("scale", scale_elements<T, kCount>, blocks_for(groups, kThreads), kThreads, 0, stream, floats<T>(x), factor, groups);
}

template <class T, int kCount>
void cap_groups(TensorView x, float cap, const Stream& stream) {
  const std::int64_t groups = x.count() / kCount;
  launch("soft_cap", soft_cap_elements<T, kCount>, blocks_for(groups, kThreads), kThreads, 0, stream, floats<T>(x), cap, groups);
}

}  // namespace

void add_to_cuda(ConstTensorView x, TensorView y, const Stream& stream) {
  require(x.count() == y.count(), "add_to: x and y must have equal counts");
  with_float_type(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    const bool packs = fits_groups(x.count(), kPack, {x.data, y.data});
    packs ? add_groups<T, kPack>(x, y, stream) : add_groups<T, 1>(x, y, stream);
  });
}

void scale_cuda(TensorView x, float factor, const Stream& stream) {
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    const bool packs = fits_groups(x.count(), kPack, {x.data});
    packs ? scale_groups<T, kPack>(x, factor, stream) : scale_groups<T, 1>(x, factor, stream);
  });
}

void soft_cap_cuda(TensorView x, float cap, const Stream& stream) {
  require(cap > 0.0F, "soft_cap: the cap must be above 0");
  with_float_type(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    const bool packs = fits_groups(x.count(), kPack, {x.data});
    packs ? cap_groups<T, kPack>(x, cap, stream) : cap_groups<T, 1>(x, cap, stream);
  });
}

}  // namespace lora_dist

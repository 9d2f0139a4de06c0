// The CUDA side of GELU: a thread per group of neighbouring elements. A thread reads all of its own before it writes, so the
// output may lie over an input.
#include "kernels/gelu/gelu.h"

#include "kernels/common/cuda_gelu.h"
#include "kernels/common/cuda_group.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;

template <class T, int kCount, Gelu kForm>
__global__ void gelu_elements(const T* x, T* y, std::int64_t groups) {
  const std::int64_t g = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (g >= groups) {
    return;
  }
  Group<T, kCount> values = load_group<kCount>(x + g * kCount);
  for (int i = 0; i < kCount; ++i) {
    const float value = to_float(values.v[i]);
    values.v[i] = from_float<T>(value * gelu_point_cuda<kForm>(value).share);
  }
  store_group(y + g * kCount, values);
}

template <class T, int kCount, Gelu kForm>
__global__ void gelu_backward_elements(const T* dy, const T* x, T* dx, std::int64_t groups) {
  const std::int64_t g = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (g >= groups) {
    return;
  }
  Group<T, kCount> gradients = load_group<kCount>(dy + g * kCount);
  const Group<T, kCount> values = load_group<kCount>(x + g * kCount);
  for (int i = 0; i < kCount; ++i) {
    gradients.v[i] = from_float<T>(to_float(gradients.v[i]) * gelu_point_cuda<kForm>(to_float(values.v[i])).slope);
  }
  store_group(dx + g * kCount, gradients);
}

template <class T, int kCount, Gelu kForm>
void apply(ConstTensorView x, TensorView y, const Stream& stream) {
  const std::int64_t groups = x.count() / kCount;
  launch("gelu", gelu_elements<T, kCount, kForm>, blocks_for(groups, kThreads), kThreads, 0, stream, floats<T>(x), floats<T>(y),
         groups);
}

template <class T, int kCount, Gelu kForm>
void apply_backward(ConstTensorView dy, ConstTensorView x, TensorView dx, const Stream& stream) {
  const std::int64_t groups = x.count() / kCount;
  launch("gelu_backward", gelu_backward_elements<T, kCount, kForm>, blocks_for(groups, kThreads), kThreads, 0, stream,
         floats<T>(dy), floats<T>(x), floats<T>(dx), groups);
}

}  // namespace

void gelu_cuda(ConstTensorView x, Gelu form, TensorView y, const Stream& stream) {
  require(x.shape == y.shape, "gelu: x and y must have one shape");
  with_float_type(x.dtype, [&](auto zero) {
    with_gelu(form, [&](auto chosen) {
      using T = decltype(zero);
      constexpr int kPack = Pack<T>::kCount;
      const bool packs = fits_groups(x.count(), kPack, {x.data, y.data});
      packs ? apply<T, kPack, chosen.value>(x, y, stream) : apply<T, 1, chosen.value>(x, y, stream);
    });
  });
}

void gelu_backward_cuda(ConstTensorView dy, ConstTensorView x, Gelu form, TensorView dx, const Stream& stream) {
  require(x.shape == dy.shape && x.shape == dx.shape, "gelu_backward: dy, x and dx must have one shape");
  with_float_type(x.dtype, [&](auto zero) {
    with_gelu(form, [&](auto chosen) {
      using T = decltype(zero);
      constexpr int kPack = Pack<T>::kCount;
      const bool packs = fits_groups(x.count(), kPack, {dy.data, x.data, dx.data});
      packs ? apply_backward<T, kPack, chosen.value>(dy, x, dx, stream) : apply_backward<T, 1, chosen.value>(dy, x, dx, stream);
    });
  });
}

}  // namespace lora_dist

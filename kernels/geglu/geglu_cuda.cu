// The CUDA side of GEGLU: a thread per group of neighbouring elements. A thread reads all of its own before it writes, so the
// outputs may lie over the inputs.
#include "kernels/common/cuda_gelu.h"
#include "kernels/common/cuda_group.h"
#include "kernels/geglu/geglu.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;

template <class T, int kCount, Gelu kForm>
__global__ void geglu_elements(const T* gate, const T* up, T* out, std::int64_t groups) {
  const std::int64_t g = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (g >= groups) {
    return;
  }
  const Group<T, kCount> gates = load_group<kCount>(gate + g * kCount);
  const Group<T, kCount> ups = load_group<kCount>(up + g * kCount);
  Group<T, kCount> product;
  for (int i = 0; i < kCount; ++i) {
    const float x = to_float(gates.v[i]);
    product.v[i] = from_float<T>(x * gelu_point_cuda<kForm>(x).share * to_float(ups.v[i]));
  }
  store_group(out + g * kCount, product);
}

template <class T, int kCount, Gelu kForm>
__global__ void geglu_backward_elements(const T* dout, const T* gate, const T* up, T* dgate, T* dup, std::int64_t groups) {
  const std::int64_t g = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (g >= groups) {
    return;
  }
  const Group<T, kCount> gradients = load_group<kCount>(dout + g * kCount);
  const Group<T, kCount> gates = load_group<kCount>(gate + g * kCount);
  const Group<T, kCount> ups = load_group<kCount>(up + g * kCount);
  Group<T, kCount> to_gate;
  Group<T, kCount> to_up;
  for (int i = 0; i < kCount; ++i) {
    const float d = to_float(gradients.v[i]);
    const float x = to_float(gates.v[i]);
    const GeluPoint point = gelu_point_cuda<kForm>(x);
    to_gate.v[i] = from_float<T>(d * to_float(ups.v[i]) * point.slope);
    to_up.v[i] = from_float<T>(d * (x * point.share));
  }
  store_group(dgate + g * kCount, to_gate);
  store_group(dup + g * kCount, to_up);
}

template <class T, int kCount, Gelu kForm>
void multiply_gated(ConstTensorView gate, ConstTensorView up, TensorView out, const Stream& stream) {
  const std::int64_t groups = gate.count() / kCount;
  launch("geglu", geglu_elements<T, kCount, kForm>, blocks_for(groups, kThreads), kThreads, 0, stream, floats<T>(gate),
         floats<T>(up), floats<T>(out), groups);
}

template <class T, int kCount, Gelu kForm>
void multiply_gated_backward(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, TensorView dgate, TensorView dup,
                             const Stream& stream) {
  const std::int64_t groups = gate.count() / kCount;
  launch("geglu_backward", geglu_backward_elements<T, kCount, kForm>, blocks_for(groups, kThreads), kThreads, 0, stream,
         floats<T>(dout), floats<T>(gate), floats<T>(up), floats<T>(dgate), floats<T>(dup), groups);
}

}  // namespace

void geglu_cuda(ConstTensorView gate, ConstTensorView up, Gelu form, TensorView out, const Stream& stream) {
  require(gate.shape == up.shape && gate.shape == out.shape, "geglu: gate, up and out must have one shape");
  with_float_type(gate.dtype, [&](auto zero) {
    with_gelu(form, [&](auto chosen) {
      using T = decltype(zero);
      constexpr int kPack = Pack<T>::kCount;
      const bool packs = fits_groups(gate.count(), kPack, {gate.data, up.data, out.data});
      packs ? multiply_gated<T, kPack, chosen.value>(gate, up, out, stream)
            : multiply_gated<T, 1, chosen.value>(gate, up, out, stream);
    });
  });
}

void geglu_backward_cuda(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, Gelu form, TensorView dgate,
                         TensorView dup, const Stream& stream) {
  require(dout.shape == gate.shape && dout.shape == up.shape && dout.shape == dgate.shape && dout.shape == dup.shape,
          "geglu_backward: all views must have one shape");
  with_float_type(gate.dtype, [&](auto zero) {
    with_gelu(form, [&](auto chosen) {
      using T = decltype(zero);
      constexpr int kPack = Pack<T>::kCount;
      const bool packs = fits_groups(gate.count(), kPack, {dout.data, gate.data, up.data, dgate.data, dup.data});
      packs ? multiply_gated_backward<T, kPack, chosen.value>(dout, gate, up, dgate, dup, stream)
            : multiply_gated_backward<T, 1, chosen.value>(dout, gate, up, dgate, dup, stream);
    });
  });
}

}  // namespace lora_dist

// The CUDA side of activations: a thread per group of neighbouring elements. A thread reads all its inputs before it writes, so
// outputs may alias inputs.
#include "kernels/activation/activation.h"

#include "kernels/activation/activation_point_cuda.h"
#include "kernels/common/cuda_group.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;

template <class T, int kCount, Activation kAct>
__global__ void activate_elements(const T* x, T* y, std::int64_t groups) {
  const std::int64_t g = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (g >= groups) {
    return;
  }
  Group<T, kCount> values = load_group<kCount>(x + g * kCount);
  for (int i = 0; i < kCount; ++i) {
    values.v[i] = from_float<T>(value_on_device<kAct>(to_float(values.v[i])));
  }
  store_group(y + g * kCount, values);
}

template <class T, int kCount, Activation kAct>
__global__ void activate_backward_elements(const T* dy, const T* x, T* dx, std::int64_t groups) {
  const std::int64_t g = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (g >= groups) {
    return;
  }
  Group<T, kCount> gradients = load_group<kCount>(dy + g * kCount);
  const Group<T, kCount> values = load_group<kCount>(x + g * kCount);
  for (int i = 0; i < kCount; ++i) {
    gradients.v[i] = from_float<T>(to_float(gradients.v[i]) * point_on_device<kAct>(to_float(values.v[i])).slope);
  }
  store_group(dx + g * kCount, gradients);
}

template <class T, int kCount, Activation kAct>
__global__ void activate_gated_elements(const T* gate, const T* up, T* out, std::int64_t groups) {
  const std::int64_t g = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (g >= groups) {
    return;
  }
  const Group<T, kCount> gates = load_group<kCount>(gate + g * kCount);
  const Group<T, kCount> ups = load_group<kCount>(up + g * kCount);
  Group<T, kCount> product;
  for (int i = 0; i < kCount; ++i) {
    product.v[i] = from_float<T>(value_on_device<kAct>(to_float(gates.v[i])) * to_float(ups.v[i]));
  }
  store_group(out + g * kCount, product);
}

template <class T, int kCount, Activation kAct>
__global__ void activate_gated_backward_elements(const T* dout, const T* gate, const T* up, T* dgate, T* dup,
                                                 std::int64_t groups) {
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
    const ActivationPoint point = point_on_device<kAct>(x);
    to_gate.v[i] = from_float<T>(d * to_float(ups.v[i]) * point.slope);
    to_up.v[i] = from_float<T>(d * (x * point.share));
  }
  store_group(dgate + g * kCount, to_gate);
  store_group(dup + g * kCount, to_up);
}

template <class T, int kCount, Activation kAct>
void launch_forward(ConstTensorView x, TensorView y, const Stream& stream) {
  const std::int64_t groups = x.count() / kCount;
  launch("activate", activate_elements<T, kCount, kAct>, blocks_for(groups, kThreads), kThreads, 0, stream, floats<T>(x),
         floats<T>(y), groups);
}

template <class T, int kCount, Activation kAct>
void launch_backward(ConstTensorView dy, ConstTensorView x, TensorView dx, const Stream& stream) {
  const std::int64_t groups = x.count() / kCount;
  launch("activate_backward", activate_backward_elements<T, kCount, kAct>, blocks_for(groups, kThreads), kThreads, 0, stream,
         floats<T>(dy), floats<T>(x), floats<T>(dx), groups);
}

template <class T, int kCount, Activation kAct>
void launch_gated(ConstTensorView gate, ConstTensorView up, TensorView out, const Stream& stream) {
  const std::int64_t groups = gate.count() / kCount;
  launch("activate_gated", activate_gated_elements<T, kCount, kAct>, blocks_for(groups, kThreads), kThreads, 0, stream,
         floats<T>(gate), floats<T>(up), floats<T>(out), groups);
}

template <class T, int kCount, Activation kAct>
void launch_gated_backward(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, TensorView dgate, TensorView dup,
                           const Stream& stream) {
  const std::int64_t groups = gate.count() / kCount;
  launch("activate_gated_backward", activate_gated_backward_elements<T, kCount, kAct>, blocks_for(groups, kThreads), kThreads, 0,
         stream, floats<T>(dout), floats<T>(gate), floats<T>(up), floats<T>(dgate), floats<T>(dup), groups);
}

}  // namespace

void activate_cuda(ConstTensorView x, Activation act, TensorView y, const Stream& stream) {
  check_activation(x, y);
  with_float_type(x.dtype, [&](auto zero) {
    with_activation(act, [&](auto chosen) {
      using T = decltype(zero);
      constexpr int kPack = Pack<T>::kCount;
      const bool packs = fits_groups(x.count(), kPack, {x.data, y.data});
      packs ? launch_forward<T, kPack, chosen.value>(x, y, stream) : launch_forward<T, 1, chosen.value>(x, y, stream);
    });
  });
}

void activate_backward_cuda(ConstTensorView dy, ConstTensorView x, Activation act, TensorView dx, const Stream& stream) {
  check_activation(x, dy, dx);
  with_float_type(x.dtype, [&](auto zero) {
    with_activation(act, [&](auto chosen) {
      using T = decltype(zero);
      constexpr int kPack = Pack<T>::kCount;
      const bool packs = fits_groups(x.count(), kPack, {dy.data, x.data, dx.data});
      packs ? launch_backward<T, kPack, chosen.value>(dy, x, dx, stream) : launch_backward<T, 1, chosen.value>(dy, x, dx, stream);
    });
  });
}

void activate_gated_cuda(ConstTensorView gate, ConstTensorView up, Activation act, TensorView out, const Stream& stream) {
  check_activation(gate, up, out);
  with_float_type(gate.dtype, [&](auto zero) {
    with_activation(act, [&](auto chosen) {
      using T = decltype(zero);
      constexpr int kPack = Pack<T>::kCount;
      const bool packs = fits_groups(gate.count(), kPack, {gate.data, up.data, out.data});
      packs ? launch_gated<T, kPack, chosen.value>(gate, up, out, stream)
            : launch_gated<T, 1, chosen.value>(gate, up, out, stream);
    });
  });
}

void activate_gated_backward_cuda(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, Activation act,
                                  TensorView dgate, TensorView dup, const Stream& stream) {
  check_activation(dout, gate, up, dgate, dup);
  with_float_type(gate.dtype, [&](auto zero) {
    with_activation(act, [&](auto chosen) {
      using T = decltype(zero);
      constexpr int kPack = Pack<T>::kCount;
      const bool packs = fits_groups(gate.count(), kPack, {dout.data, gate.data, up.data, dgate.data, dup.data});
      packs ? launch_gated_backward<T, kPack, chosen.value>(dout, gate, up, dgate, dup, stream)
            : launch_gated_backward<T, 1, chosen.value>(dout, gate, up, dgate, dup, stream);
    });
  });
}

}  // namespace lora_dist

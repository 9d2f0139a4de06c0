// The CPU side of activations. Each loop is compiled once per activation and instruction set.
#include "kernels/activation/activation.h"

#include "kernels/activation/activation_point.h"
#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kElementsPerPiece = 1 << 15;

template <Activation kAct>
__attribute__((always_inline)) inline void forward(const float* x, float* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = value_of<kAct>(x[i]);
  }
}

template <Activation kAct>
__attribute__((always_inline)) inline void backward(const float* dy, const float* x, float* dx, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    dx[i] = dy[i] * point_of<kAct>(x[i]).slope;
  }
}

template <Activation kAct>
__attribute__((always_inline)) inline void gated_forward(const float* gate, const float* up, float* out, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] = value_of<kAct>(gate[i]) * up[i];
  }
}

template <Activation kAct>
__attribute__((always_inline)) inline void gated_backward(const float* dout, const float* gate, const float* up, float* dgate,
                                                          float* dup, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float d = dout[i];
    const float g = gate[i];
    const ActivationPoint point = point_of<kAct>(g);
    dgate[i] = d * up[i] * point.slope;
    dup[i] = d * (g * point.share);
  }
}

LORA_DIST_MULTIVERSION void forward_range(Activation act, const float* x, float* y, std::int64_t n) {
  with_activation(
      act, [=](auto chosen) __attribute__((always_inline)) { forward<chosen.value>(x, y, n); });
}

LORA_DIST_MULTIVERSION void backward_range(Activation act, const float* dy, const float* x, float* dx, std::int64_t n) {
  with_activation(
      act, [=](auto chosen) __attribute__((always_inline)) { backward<chosen.value>(dy, x, dx, n); });
}

LORA_DIST_MULTIVERSION void gated_forward_range(Activation act, const float* gate, const float* up, float* out, std::int64_t n) {
  with_activation(
      act, [=](auto chosen) __attribute__((always_inline)) { gated_forward<chosen.value>(gate, up, out, n); });
}

LORA_DIST_MULTIVERSION void gated_backward_range(Activation act, const float* dout, const float* gate, const float* up,
                                                 float* dgate, float* dup, std::int64_t n) {
  with_activation(
      act, [=](auto chosen) __attribute__((always_inline)) { gated_backward<chosen.value>(dout, gate, up, dgate, dup, n); });
}

}  // namespace

void activate_cpu(ConstTensorView x, Activation act, TensorView y, const Stream& stream) {
  check_activation(x, y);
  const float* in = x.as<float>();
  float* out = y.as<float>();
  parallel_ranges(x.count(), kElementsPerPiece, stream,
                  [&](std::int64_t begin, std::int64_t end) { forward_range(act, in + begin, out + begin, end - begin); });
}

void activate_backward_cpu(ConstTensorView dy, ConstTensorView x, Activation act, TensorView dx, const Stream& stream) {
  check_activation(x, dy, dx);
  const float* d = dy.as<float>();
  const float* in = x.as<float>();
  float* out = dx.as<float>();
  parallel_ranges(x.count(), kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    backward_range(act, d + begin, in + begin, out + begin, end - begin);
  });
}

void activate_gated_cpu(ConstTensorView gate, ConstTensorView up, Activation act, TensorView out, const Stream& stream) {
  check_activation(gate, up, out);
  const float* g = gate.as<float>();
  const float* u = up.as<float>();
  float* y = out.as<float>();
  parallel_ranges(gate.count(), kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    gated_forward_range(act, g + begin, u + begin, y + begin, end - begin);
  });
}

void activate_gated_backward_cpu(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, Activation act, TensorView dgate,
                                 TensorView dup, const Stream& stream) {
  check_activation(dout, gate, up, dgate, dup);
  const float* d = dout.as<float>();
  const float* g = gate.as<float>();
  const float* u = up.as<float>();
  float* dg = dgate.as<float>();
  float* du = dup.as<float>();
  parallel_ranges(gate.count(), kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    gated_backward_range(act, d + begin, g + begin, u + begin, dg + begin, du + begin, end - begin);
  });
}

}  // namespace lora_dist

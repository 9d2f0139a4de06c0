// The CPU side of GEGLU.
#include "kernels/geglu/geglu.h"

#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kElementsPerPiece = 1 << 15;

LORA_DIST_MULTIVERSION void forward_erf(const float* gate, const float* up, float* out, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] = gate[i] * gelu_erf_point(gate[i]).share * up[i];
  }
}

LORA_DIST_MULTIVERSION void forward_tanh(const float* gate, const float* up, float* out, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] = gate[i] * gelu_tanh_point(gate[i]).share * up[i];
  }
}

LORA_DIST_MULTIVERSION void backward_erf(const float* dout, const float* gate, const float* up, float* dgate, float* dup,
                                         std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float d = dout[i];
    const float g = gate[i];
    const GeluPoint point = gelu_erf_point(g);
    dgate[i] = d * up[i] * point.slope;
    dup[i] = d * (g * point.share);
  }
}

LORA_DIST_MULTIVERSION void backward_tanh(const float* dout, const float* gate, const float* up, float* dgate, float* dup,
                                          std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float d = dout[i];
    const float g = gate[i];
    const GeluPoint point = gelu_tanh_point(g);
    dgate[i] = d * up[i] * point.slope;
    dup[i] = d * (g * point.share);
  }
}

}  // namespace

void geglu_cpu(ConstTensorView gate, ConstTensorView up, Gelu form, TensorView out, const Stream& stream) {
  require(gate.shape == up.shape && gate.shape == out.shape, "geglu: gate, up and out must have one shape");
  const auto range = form == Gelu::erf ? forward_erf : forward_tanh;
  const float* g = gate.as<float>();
  const float* u = up.as<float>();
  float* y = out.as<float>();
  parallel_ranges(gate.count(), kElementsPerPiece, stream,
                  [&](std::int64_t begin, std::int64_t end) { range(g + begin, u + begin, y + begin, end - begin); });
}

void geglu_backward_cpu(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, Gelu form, TensorView dgate,
                        TensorView dup, const Stream& stream) {
  require(dout.shape == gate.shape && dout.shape == up.shape && dout.shape == dgate.shape && dout.shape == dup.shape,
          "geglu_backward: all views must have one shape");
  const auto range = form == Gelu::erf ? backward_erf : backward_tanh;
  const float* d = dout.as<float>();
  const float* g = gate.as<float>();
  const float* u = up.as<float>();
  float* dg = dgate.as<float>();
  float* du = dup.as<float>();
  parallel_ranges(gate.count(), kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    range(d + begin, g + begin, u + begin, dg + begin, du + begin, end - begin);
  });
}

}  // namespace lora_dist

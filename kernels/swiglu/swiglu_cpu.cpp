// The CPU side of SwiGLU.
#include "kernels/swiglu/swiglu.h"

#include "kernels/common/exp.h"
#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kElementsPerPiece = 1 << 15;

LORA_DIST_MULTIVERSION void forward_range(const float* gate, const float* up, float* out, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] = gate[i] / (1.0F + fast_exp(-gate[i])) * up[i];
  }
}

// silu'(g) = s (1 + g (1 - s)) with s = 1 / (1 + exp(-g)).
LORA_DIST_MULTIVERSION void backward_range(const float* dout, const float* gate, const float* up, float* dgate, float* dup,
                                           std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = gate[i];
    const float d = dout[i];
    const float s = 1.0F / (1.0F + fast_exp(-g));
    dgate[i] = d * up[i] * (s * (1.0F + g * (1.0F - s)));
    dup[i] = d * (g * s);
  }
}

}  // namespace

void swiglu_cpu(ConstTensorView gate, ConstTensorView up, TensorView out, const Stream& stream) {
  require(gate.shape == up.shape && gate.shape == out.shape, "swiglu: gate, up and out must have one shape");
  const float* g = gate.as<float>();
  const float* u = up.as<float>();
  float* y = out.as<float>();
  parallel_ranges(gate.count(), kElementsPerPiece, stream,
                  [&](std::int64_t begin, std::int64_t end) { forward_range(g + begin, u + begin, y + begin, end - begin); });
}

void swiglu_backward_cpu(ConstTensorView dout, ConstTensorView gate, ConstTensorView up, TensorView dgate, TensorView dup,
                         const Stream& stream) {
  require(dout.shape == gate.shape && dout.shape == up.shape && dout.shape == dgate.shape && dout.shape == dup.shape,
          "swiglu_backward: all views must have one shape");
  const float* d = dout.as<float>();
  const float* g = gate.as<float>();
  const float* u = up.as<float>();
  float* dg = dgate.as<float>();
  float* du = dup.as<float>();
  parallel_ranges(gate.count(), kElementsPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    backward_range(d + begin, g + begin, u + begin, dg + begin, du + begin, end - begin);
  });
}

}  // namespace lora_dist

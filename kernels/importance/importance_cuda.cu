// The CUDA side of importance: six floats move for ten operations, so memory sets the pace.
#include "kernels/common/cuda_kernel.h"
#include "kernels/importance/importance.h"

namespace lora_dist {
namespace {

constexpr int kImportanceThreads = 256;

struct ImportanceWeights {
  float beta1;
  float rest1;
  float beta2;
  float rest2;
};

// The intrinsics keep nvcc from fusing products and sums, which gives the CPU side's bits.
__global__ void importance_elements(const float* params, const float* grads, float* sensitivity, float* uncertainty,
                                    ImportanceWeights w, std::int64_t n) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kImportanceThreads + threadIdx.x;
  if (i >= n) {
    return;
  }
  const float now = fabsf(__fmul_rn(params[i], grads[i]));
  const float s = __fadd_rn(__fmul_rn(w.beta1, sensitivity[i]), __fmul_rn(w.rest1, now));
  sensitivity[i] = s;
  uncertainty[i] = __fadd_rn(__fmul_rn(w.beta2, uncertainty[i]), __fmul_rn(w.rest2, fabsf(now - s)));
}

}  // namespace

void importance_cuda(ConstTensorView params, ConstTensorView grads, TensorView sensitivity, TensorView uncertainty,
                     const ImportanceDecay& decay, const Stream& stream) {
  require_importance(params, grads, sensitivity, uncertainty);
  const std::int64_t n = params.count();
  const ImportanceWeights weights{static_cast<float>(decay.beta1), static_cast<float>(1.0 - decay.beta1),
                                  static_cast<float>(decay.beta2), static_cast<float>(1.0 - decay.beta2)};
  launch("importance", importance_elements, blocks_for(n, kImportanceThreads), kImportanceThreads, 0, stream, params.as<float>(),
         grads.as<float>(), sensitivity.as<float>(), uncertainty.as<float>(), weights, n);
}

}  // namespace lora_dist

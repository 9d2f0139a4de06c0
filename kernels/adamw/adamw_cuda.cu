// The CUDA side of AdamW: seven floats move for a dozen operations, so memory sets the pace.
#include "kernels/adamw/adamw.h"

#include "kernels/adamw/adamw_constants.h"
#include "kernels/common/cuda_group.h"
#include "kernels/common/cuda_kernel.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;

// Products and sums are rounded separately (the intrinsics keep nvcc from fusing them), which gives the CPU side's bits unless
// its compiler fuses (the AVX-512 loop): then the last bit may differ.
template <int kCount>
__global__ void adamw_elements(float* params, const float* grads, float* m, float* v, AdamWConstants c, std::int64_t groups) {
  const std::int64_t group = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (group >= groups) {
    return;
  }
  const std::int64_t at = group * kCount;
  const Group<float, kCount> gradient = load_group<kCount>(grads + at);
  Group<float, kCount> first = load_group<kCount>(m + at);
  Group<float, kCount> second = load_group<kCount>(v + at);
  Group<float, kCount> param = load_group<kCount>(params + at);
  for (int i = 0; i < kCount; ++i) {
    const float g = gradient.v[i];
    first.v[i] = __fadd_rn(first.v[i], __fmul_rn(c.weight_m, g - first.v[i]));
    second.v[i] = __fadd_rn(__fmul_rn(second.v[i], c.beta2), __fmul_rn(__fmul_rn(c.weight_v, g), g));
    const float denominator = sqrtf(second.v[i]) / c.root_bias2 + c.eps;
    param.v[i] = __fsub_rn(__fmul_rn(param.v[i], c.decay), __fmul_rn(c.step_size, first.v[i]) / denominator);
  }
  store_group(m + at, first);
  store_group(v + at, second);
  store_group(params + at, param);
}

template <int kCount>
void update(TensorView params, ConstTensorView grads, TensorView m, TensorView v, const AdamWConstants& constants,
            const Stream& stream) {
  const std::int64_t groups = params.count() / kCount;
  launch("adamw", adamw_elements<kCount>, blocks_for(groups, kThreads), kThreads, 0, stream, params.as<float>(),
         grads.as<float>(), m.as<float>(), v.as<float>(), constants, groups);
}

}  // namespace

void adamw_cuda(TensorView params, ConstTensorView grads, TensorView m, TensorView v, const AdamWStep& step,
                const Stream& stream) {
  const std::int64_t n = params.count();
  require(grads.count() == n && m.count() == n && v.count() == n, "adamw: params, grads, m and v must have equal counts");
  require(step.step >= 1, "adamw: the first step is 1");
  const AdamWConstants constants = adamw_constants(step);
  const bool packs = fits_groups(n, Pack<float>::kCount, {params.data, grads.data, m.data, v.data});
  packs ? update<Pack<float>::kCount>(params, grads, m, v, constants, stream) : update<1>(params, grads, m, v, constants, stream);
}

}  // namespace lora_dist

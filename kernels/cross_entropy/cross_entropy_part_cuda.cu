// The CUDA side of softmax_numbers and cross_entropy_part: a block of threads a token.
#include <cfloat>
#include <cmath>

#include "kernels/common/cuda_group.h"
#include "kernels/common/cuda_kernel.h"
#include "kernels/common/soft_cap.h"
#include "kernels/cross_entropy/cross_entropy.h"

namespace lora_dist {
namespace {

constexpr int kThreads = 256;

template <class T>
__global__ void softmax_numbers_row(const T* logits, const std::int32_t* targets, std::int64_t first, float* numbers,
                                    std::int64_t width) {
  const T* row = logits + blockIdx.x * width;
  float top = -FLT_MAX;
  for (std::int64_t c = threadIdx.x; c < width; c += kThreads) {
    top = fmaxf(top, to_float(row[c]));
  }
  top = block_max(top);
  float sum = 0.0F;
  for (std::int64_t c = threadIdx.x; c < width; c += kThreads) {
    sum += expf(to_float(row[c]) - top);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    const std::int64_t at = targets[blockIdx.x] - first;
    float* three = numbers + blockIdx.x * kSoftmaxNumbers;
    three[0] = top;
    three[1] = sum;
    three[2] = targets[blockIdx.x] != kNotTrained && at >= 0 && at < width ? to_float(row[at]) : 0.0F;
  }
}

template <class T, class G>
__global__ void cross_entropy_part_row(const T* logits, const std::int32_t* targets, std::int64_t first, const float* numbers,
                                       int parts, LossGradient of, float* loss, G* gradient, std::int64_t width) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kSoftmaxNumbers;  // between the parts of a row
  const float* of_row = numbers + blockIdx.x * kSoftmaxNumbers;
  const std::int32_t target = targets[blockIdx.x];
  const bool trained = target != kNotTrained;
  float top = -FLT_MAX;
  for (int p = 0; p < parts; ++p) {
    top = fmaxf(top, of_row[p * stride]);
  }
  double sum = 0.0;
  double target_logit = 0.0;
  for (int p = 0; p < parts; ++p) {
    sum += exp(static_cast<double>(of_row[p * stride]) - top) * of_row[p * stride + 1];
    target_logit += of_row[p * stride + 2];
  }
  if (threadIdx.x == 0) {
    loss[blockIdx.x] = trained ? static_cast<float>(log(sum) + (static_cast<double>(top) - target_logit)) : 0.0F;
  }
  const auto factor = static_cast<float>(static_cast<double>(of.scale) / sum);
  const std::int64_t at = target - first;
  const T* row = logits + blockIdx.x * width;
  G* out = gradient + blockIdx.x * width;
  for (std::int64_t c = threadIdx.x; c < width; c += kThreads) {
    const float logit = to_float(row[c]);
    const float share = trained ? expf(logit - top) * factor : 0.0F;
    const float slope = of.soft_cap > 0.0F ? soft_cap_slope(logit, of.soft_cap) : 1.0F;
    out[c] = from_float<G>((trained && c == at ? share - of.scale : share) * slope);
  }
}

}  // namespace

void softmax_numbers_cuda(ConstTensorView logits, ConstTensorView targets, std::int64_t first, TensorView numbers,
                          const Stream& stream) {
  check_softmax_numbers(logits, targets, numbers);
  with_float_type(logits.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("softmax_numbers", softmax_numbers_row<T>, blocks_for(logits.rows(), 1), kThreads, 0, stream, floats<T>(logits),
           targets.as<std::int32_t>(), first, numbers.as<float>(), logits.cols());
  });
}

void cross_entropy_part_cuda(const CrossEntropyPartArguments& a, const Stream& stream) {
  check_logits(a.logits, a.targets);
  check_loss_and_gradient(a.logits, a.loss, a.gradient);
  check_all_softmax_numbers(a.logits, a.numbers);
  if (a.logits.rows() == 0) {
    return;
  }
  const auto parts = static_cast<int>(a.numbers.rows() / a.logits.rows());
  with_float_type(a.logits.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_float_type(a.gradient.dtype, [&](auto zero_gradient) {
      using G = decltype(zero_gradient);
      launch("cross_entropy_part", cross_entropy_part_row<T, G>, blocks_for(a.logits.rows(), 1), kThreads, 0, stream,
             floats<T>(static_cast<ConstTensorView>(a.logits)), a.targets.as<std::int32_t>(), a.first, a.numbers.as<float>(),
             parts, a.of, a.loss.as<float>(), floats<G>(a.gradient), a.logits.cols());
    });
  });
}

}  // namespace lora_dist

// The CUDA side of cross entropy: a block per token. One pass finds the largest logit and the sum of exponentials together (each
// thread scales its sum down when its largest grows), a second one writes the gradient; that one mostly reads from cache.
#include <cfloat>
#include <cmath>
#include <limits>

#include "kernels/common/cuda_group.h"
#include "kernels/common/soft_cap.h"
#include "kernels/cross_entropy/cross_entropy.h"

namespace lora_dist {
namespace {

constexpr int kMostThreads = 512;
constexpr int kInFlight = 4;  // groups that a thread asks for before it waits for one
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr std::int32_t kNoToken = std::numeric_limits<std::int32_t>::max();

// The largest logit and the sum of exp(logit - top). top is finite or +inf: from -inf the differences would be NaN where the CPU
// has 0. `top` ignores NaN logits; they reappear in the sum.
struct SoftmaxSum {
  float top = -FLT_MAX;
  double sum = 0.0;
};

// A logit and its id. Among equals the lowest id wins.
struct Best {
  float value = -kInfinity;
  std::int32_t id = kNoToken;
};

__device__ inline Best better(Best a, Best b) { return b.value > a.value || (b.value == a.value && b.id < a.id) ? b : a; }

/// Over the block, the same on each thread.
__device__ inline Best block_best(Best best) {
  __shared__ float values[kWarp];
  __shared__ std::int32_t ids[kWarp];
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) {
    Best other;
    other.value = __shfl_xor_sync(kAllLanes, best.value, lanes);
    other.id = __shfl_xor_sync(kAllLanes, best.id, lanes);
    best = better(best, other);
  }
  if (threadIdx.x % kWarp == 0) {
    values[threadIdx.x / kWarp] = best.value;
    ids[threadIdx.x / kWarp] = best.id;
  }
  __syncthreads();
  best = Best{};
  for (unsigned warp = 0; warp < blockDim.x / kWarp; ++warp) {
    best = better(best, Best{values[warp], ids[warp]});
  }
  return best;
}

/// Sums of the warps, added in turn as doubles.
__device__ inline double block_sum_of_doubles(float value) {
  __shared__ float of_warps[kWarp];
  value = warp_sum(value);
  if (threadIdx.x % kWarp == 0) {
    of_warps[threadIdx.x / kWarp] = value;
  }
  __syncthreads();
  double sum = 0.0;
  for (unsigned warp = 0; warp < blockDim.x / kWarp; ++warp) {
    sum += static_cast<double>(of_warps[warp]);
  }
  return sum;
}

// The first pass over a row of `groups` groups, by the whole block; `best`, if not null, receives the thread's best token.
template <int kCount, bool kFindBest, class T>
__device__ SoftmaxSum sum_of_row(const T* row, int groups, Best& best) {
  const int stride = static_cast<int>(blockDim.x);
  float top = -FLT_MAX;
  float sum = 0.0F;
  for (int first = static_cast<int>(threadIdx.x); first < groups; first += kInFlight * stride) {
    Group<T, kCount> loaded[kInFlight];
    for (int k = 0; k < kInFlight; ++k) {
      const int g = first + k * stride;
      if (g < groups) {
        loaded[k] = load_group<kCount>(row + static_cast<std::int64_t>(g) * kCount);
      } else {
        for (int i = 0; i < kCount; ++i) {
          loaded[k].v[i] = from_float<T>(-kInfinity);
        }
      }
    }
    float new_top = top;
    for (int k = 0; k < kInFlight; ++k) {
      for (int i = 0; i < kCount; ++i) {
        const float logit = to_float(loaded[k].v[i]);
        new_top = fmaxf(new_top, logit);
        if constexpr (kFindBest) {
          if (first + k * stride < groups) {
            best = better(best, Best{logit, (first + k * stride) * kCount + i});
          }
        }
      }
    }
    sum *= expf(top - new_top);
    top = new_top;
    float of_these = 0.0F;  // added as one, so that a long row loses no digits
    for (int k = 0; k < kInFlight; ++k) {
      for (int i = 0; i < kCount; ++i) {
        of_these += expf(to_float(loaded[k].v[i]) - top);
      }
    }
    sum += of_these;
  }
  SoftmaxSum whole;
  whole.top = block_max(top);
  whole.sum = block_sum_of_doubles(sum * expf(top - whole.top));
  return whole;
}

// logits, gradient: [tokens, vocab] in groups of kCount; gradient may be logits. Each thread writes only elements that no other
// thread reads.
template <class T, class G, int kCount>
__global__ void cross_entropy_row(const T* logits, const std::int32_t* targets, LossGradient of, float* loss, G* gradient,
                                  std::int64_t vocab) {
  const T* row = logits + blockIdx.x * vocab;
  G* out = gradient + blockIdx.x * vocab;
  const int groups = static_cast<int>(vocab / kCount);
  const std::int32_t target = targets[blockIdx.x];
  const bool trained = target != kNotTrained;
  const bool inside = target >= 0 && target < vocab;
  float top = 0.0F;
  float factor = 0.0F;
  if (inside) {  // the same on each thread of the block
    const float target_logit = to_float(row[target]);
    Best unused;
    const SoftmaxSum whole = sum_of_row<kCount, false>(row, groups, unused);
    top = whole.top;
    factor = static_cast<float>(static_cast<double>(of.scale) / whole.sum);
    if (threadIdx.x == 0) {
      loss[blockIdx.x] = static_cast<float>(log(whole.sum) + (static_cast<double>(top) - static_cast<double>(target_logit)));
    }
  } else if (threadIdx.x == 0) {
    loss[blockIdx.x] = trained ? kNaN : 0.0F;
  }
  for (int g = static_cast<int>(threadIdx.x); g < groups; g += static_cast<int>(blockDim.x)) {
    const std::int64_t at = static_cast<std::int64_t>(g) * kCount;
    Group<G, kCount> result;
    if (inside) {
      const Group<T, kCount> group = load_group<kCount>(row + at);
      for (int i = 0; i < kCount; ++i) {
        const float logit = to_float(group.v[i]);
        const float share = expf(logit - top) * factor;
        const float slope = of.soft_cap > 0.0F ? soft_cap_slope(logit, of.soft_cap) : 1.0F;
        result.v[i] = from_float<G>((at + i == target ? share - of.scale : share) * slope);
      }
    } else {
      for (int i = 0; i < kCount; ++i) {
        result.v[i] = from_float<G>(trained ? kNaN : 0.0F);
      }
    }
    store_group(out + at, result);
  }
}

template <class T, int kCount>
__global__ void token_log_prob_row(const T* logits, const std::int32_t* targets, float* log_prob, std::int32_t* argmax,
                                   std::int64_t vocab) {
  const T* row = logits + blockIdx.x * vocab;
  const std::int32_t target = targets[blockIdx.x];
  Best own;
  const SoftmaxSum whole = sum_of_row<kCount, true>(row, static_cast<int>(vocab / kCount), own);
  const Best best = block_best(own);
  if (threadIdx.x == 0) {
    argmax[blockIdx.x] = best.id == kNoToken ? 0 : best.id;  // no token: the row is all NaN
    float value = 0.0F;
    if (target >= 0 && target < vocab) {
      const float logit = to_float(row[target]);
      value = static_cast<float>((static_cast<double>(logit) - static_cast<double>(whole.top)) - log(whole.sum));
    } else if (target != kNotTrained) {
      value = kNaN;
    }
    log_prob[blockIdx.x] = value;
  }
}

void check_whole(ConstTensorView logits, ConstTensorView targets) {
  check_logits(logits, targets);
  require(logits.cols() < (std::int64_t{1} << 30), "cross_entropy: the vocabulary is too large");
}

template <class T, class G, int kCount>
void rows_to_gradient(TensorView logits, const std::int32_t* targets, const LossGradient& of, float* loss, TensorView gradient,
                      const Stream& stream) {
  const T* from = floats<T>(static_cast<ConstTensorView>(logits));
  launch("cross_entropy", cross_entropy_row<T, G, kCount>, blocks_for(logits.rows(), 1),
         threads_for(logits.cols() / kCount, 1, kMostThreads), 0, stream, from, targets, of, loss, floats<G>(gradient),
         logits.cols());
}

template <class T, int kCount>
void score_rows(ConstTensorView logits, const std::int32_t* targets, float* log_prob, std::int32_t* argmax,
                const Stream& stream) {
  launch("token_log_prob", token_log_prob_row<T, kCount>, blocks_for(logits.rows(), 1),
         threads_for(logits.cols() / kCount, 1, kMostThreads), 0, stream, floats<T>(logits), targets, log_prob, argmax,
         logits.cols());
}

}  // namespace

void cross_entropy_cuda(TensorView logits, ConstTensorView targets, const LossGradient& of, TensorView loss, TensorView gradient,
                        const Stream& stream) {
  check_whole(logits, targets);
  check_loss_and_gradient(logits, loss, gradient);
  const std::int32_t* target = targets.as<std::int32_t>();
  float* out = loss.as<float>();
  with_float_type(logits.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_float_type(gradient.dtype, [&](auto zero_gradient) {
      using G = decltype(zero_gradient);
      constexpr int kPack = sizeof(T) < sizeof(G) ? Pack<T>::kCount : Pack<G>::kCount;
      const bool packs = fits_groups(logits.cols(), kPack, {logits.data, gradient.data});
      packs ? rows_to_gradient<T, G, kPack>(logits, target, of, out, gradient, stream)
            : rows_to_gradient<T, G, 1>(logits, target, of, out, gradient, stream);
    });
  });
}

void token_log_prob_cuda(ConstTensorView logits, ConstTensorView targets, TensorView log_prob, TensorView argmax,
                         const Stream& stream) {
  check_whole(logits, targets);
  check_token_log_prob(logits, log_prob, argmax);
  const std::int32_t* target = targets.as<std::int32_t>();
  float* out = log_prob.as<float>();
  std::int32_t* best = argmax.as<std::int32_t>();
  with_float_type(logits.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    const bool packs = fits_groups(logits.cols(), kPack, {logits.data});
    packs ? score_rows<T, kPack>(logits, target, out, best, stream) : score_rows<T, 1>(logits, target, out, best, stream);
  });
}

}  // namespace lora_dist

// The CPU side of cross entropy: three passes over a row that stays in cache, or two if its softmax numbers are known.
#include "kernels/cross_entropy/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/common/exp.h"
#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/common/row_softmax.h"
#include "kernels/common/soft_cap.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kTokensPerPiece = 8;
constexpr std::int64_t kTokensPerPartPiece = 4;

// out[i] = exp(x[i] - top); returns their sum. out may be x.
LORA_DIST_MULTIVERSION float exp_and_sum(const float* x, float* out, float top, std::int64_t n) {
  float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) {
    const float e = fast_exp(x[i] - top);
    out[i] = e;
    sum += e;
  }
  return sum;
}

LORA_DIST_MULTIVERSION void multiply(float* x, float factor, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    x[i] *= factor;
  }
}

// x[i] = exp(x[i] - top) * factor.
LORA_DIST_MULTIVERSION void shares(float* x, float top, float factor, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    x[i] = fast_exp(x[i] - top) * factor;
  }
}

// x[i] = exp(x[i] - top) * factor * the slope of the soft cap at x[i].
LORA_DIST_MULTIVERSION void capped_shares(float* x, float top, float factor, float cap, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    x[i] = fast_exp(x[i] - top) * factor * soft_cap_slope(x[i], cap);
  }
}

// The gradient of a row whose softmax has this top and sum. `target`: its index in the row; outside: another part's.
void row_gradient(float* row, std::int64_t width, std::int64_t target, float top, double sum, const LossGradient& of) {
  const bool inside = target >= 0 && target < width;
  const auto factor = static_cast<float>(of.scale / sum);
  float at_target = of.scale;
  if (of.soft_cap > 0.0F) {
    at_target *= inside ? soft_cap_slope(row[target], of.soft_cap) : 0.0F;
    capped_shares(row, top, factor, of.soft_cap, width);
  } else {
    shares(row, top, factor, width);
  }
  if (inside) {
    row[target] -= at_target;
  }
}

// Sum of exp(row[i] - top).
double exp_sum_of_row(const float* row, float top, std::int64_t vocab) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < vocab; i += kSumPiece) {
    sum += sum_of_exp(row + i, top, std::min(kSumPiece, vocab - i));
  }
  return sum;
}

// Turns a row into its gradient and returns the loss.
float loss_and_gradient(float* row, std::int64_t vocab, std::int32_t target, const LossGradient& of) {
  if (target == kNotTrained) {
    std::fill_n(row, vocab, 0.0F);
    return 0.0F;
  }
  const float top = row_max(row, vocab);
  const float target_logit = row[target];
  if (of.soft_cap > 0.0F) {
    const double capped_sum = exp_sum_of_row(row, top, vocab);
    row_gradient(row, vocab, target, top, capped_sum, of);
    return static_cast<float>(std::log(capped_sum) + (static_cast<double>(top) - target_logit));
  }
  double sum = 0.0;
  for (std::int64_t i = 0; i < vocab; i += kSumPiece) {
    sum += exp_and_sum(row + i, row + i, top, std::min(kSumPiece, vocab - i));
  }
  multiply(row, static_cast<float>(of.scale / sum), vocab);
  row[target] -= of.scale;
  return static_cast<float>(std::log(sum) + (static_cast<double>(top) - target_logit));
}

struct Score {
  float log_prob;
  std::int32_t argmax;
};

Score score_row(const float* row, std::int64_t vocab, std::int32_t target) {
  const float top = row_max(row, vocab);
  const float* found = std::find(row, row + vocab, top);
  const auto argmax = static_cast<std::int32_t>(found == row + vocab ? 0 : found - row);  // not found: the row is all NaN
  if (target == kNotTrained) {
    return {0.0F, argmax};
  }
  return {static_cast<float>((static_cast<double>(row[target]) - top) - std::log(exp_sum_of_row(row, top, vocab))), argmax};
}

/// The softmax numbers of all parts of a row, combined.
struct Joined {
  float top = 0.0F;
  double sum = 0.0;
  double target_logit = 0.0;
};

/// numbers: those of the row's first part; the next part's are `stride` further.
Joined join(const float* numbers, std::int64_t parts, std::int64_t stride) {
  Joined joined{-std::numeric_limits<float>::infinity(), 0.0, 0.0};
  for (std::int64_t p = 0; p < parts; ++p) {
    joined.top = std::max(joined.top, numbers[p * stride]);
  }
  for (std::int64_t p = 0; p < parts; ++p) {
    const float* of_part = numbers + p * stride;
    joined.sum += std::exp(static_cast<double>(of_part[0]) - joined.top) * of_part[1];
    joined.target_logit += of_part[2];
  }
  return joined;
}

void check_targets(ConstTensorView logits, ConstTensorView targets) {
  check_logits(logits, targets);
  const std::int32_t* target = targets.as<std::int32_t>();
  for (std::int64_t t = 0; t < targets.count(); ++t) {
    require(target[t] == kNotTrained || (target[t] >= 0 && target[t] < logits.cols()),
            "cross_entropy: a target lies outside the vocabulary");
  }
}

void check_over_logits(ConstTensorView logits, ConstTensorView loss, ConstTensorView gradient) {
  check_loss_and_gradient(logits, loss, gradient);
  require(gradient.data == logits.data && gradient.dtype == DType::f32,
          "cross_entropy: the CPU writes the gradient over the logits");
}

}  // namespace

void cross_entropy_cpu(TensorView logits, ConstTensorView targets, const LossGradient& of, TensorView loss, TensorView gradient,
                       const Stream& stream) {
  check_targets(logits, targets);
  check_over_logits(logits, loss, gradient);
  const std::int64_t vocab = logits.cols();
  float* rows = logits.as<float>();
  const std::int32_t* target = targets.as<std::int32_t>();
  float* out = loss.as<float>();
  parallel_ranges(logits.rows(), kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      out[t] = loss_and_gradient(rows + t * vocab, vocab, target[t], of);
    }
  });
}

void token_log_prob_cpu(ConstTensorView logits, ConstTensorView targets, TensorView log_prob, TensorView argmax,
                        const Stream& stream) {
  check_targets(logits, targets);
  check_token_log_prob(logits, log_prob, argmax);
  const std::int64_t vocab = logits.cols();
  const float* rows = logits.as<float>();
  const std::int32_t* target = targets.as<std::int32_t>();
  float* out = log_prob.as<float>();
  std::int32_t* best = argmax.as<std::int32_t>();
  parallel_ranges(logits.rows(), kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const Score score = score_row(rows + t * vocab, vocab, target[t]);
      out[t] = score.log_prob;
      best[t] = score.argmax;
    }
  });
}

void softmax_numbers_cpu(ConstTensorView logits, ConstTensorView targets, std::int64_t first, TensorView numbers,
                         const Stream& stream) {
  check_softmax_numbers(logits, targets, numbers);
  const std::int64_t width = logits.cols();
  const float* rows = logits.as<float>();
  const std::int32_t* target = targets.as<std::int32_t>();
  float* out = numbers.as<float>();
  parallel_ranges(logits.rows(), kTokensPerPartPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const float* row = rows + t * width;
      const float top = row_max(row, width);
      const std::int64_t at = target[t] - first;
      float* three = out + t * kSoftmaxNumbers;
      three[0] = top;
      three[1] = static_cast<float>(exp_sum_of_row(row, top, width));
      three[2] = target[t] != kNotTrained && at >= 0 && at < width ? row[at] : 0.0F;
    }
  });
}

void cross_entropy_part_cpu(const CrossEntropyPartArguments& a, const Stream& stream) {
  check_logits(a.logits, a.targets);
  check_over_logits(a.logits, a.loss, a.gradient);
  check_all_softmax_numbers(a.logits, a.numbers);
  const std::int64_t tokens = a.logits.rows();
  const std::int64_t width = a.logits.cols();
  const std::int64_t parts = tokens == 0 ? 0 : a.numbers.rows() / tokens;
  float* rows = a.logits.as<float>();
  const float* all = a.numbers.as<float>();
  const std::int32_t* target = a.targets.as<std::int32_t>();
  float* out = a.loss.as<float>();
  parallel_ranges(tokens, kTokensPerPartPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      float* row = rows + t * width;
      if (target[t] == kNotTrained) {
        std::fill_n(row, width, 0.0F);
        out[t] = 0.0F;
        continue;
      }
      const Joined joined = join(all + t * kSoftmaxNumbers, parts, tokens * kSoftmaxNumbers);
      out[t] = static_cast<float>(std::log(joined.sum) + (static_cast<double>(joined.top) - joined.target_logit));
      row_gradient(row, width, target[t] - a.first, joined.top, joined.sum, a.of);
    }
  });
}

}  // namespace lora_dist

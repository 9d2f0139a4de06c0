// The CPU side of cross entropy: three passes over a row that stays in cache.
#include "kernels/cross_entropy/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/common/exp.h"
#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/common/row_softmax.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kTokensPerPiece = 8;

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

// Turns a row into its gradient and returns the loss.
float loss_and_gradient(float* row, std::int64_t vocab, std::int32_t target, float scale) {
  if (target == kNotTrained) {
    std::fill_n(row, vocab, 0.0F);
    return 0.0F;
  }
  const float top = row_max(row, vocab);
  const float target_logit = row[target];
  double sum = 0.0;
  for (std::int64_t i = 0; i < vocab; i += kSumPiece) {
    sum += exp_and_sum(row + i, row + i, top, std::min(kSumPiece, vocab - i));
  }
  multiply(row, static_cast<float>(scale / sum), vocab);
  row[target] -= scale;
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
  double sum = 0.0;
  for (std::int64_t i = 0; i < vocab; i += kSumPiece) {
    sum += sum_of_exp(row + i, top, std::min(kSumPiece, vocab - i));
  }
  return {static_cast<float>((static_cast<double>(row[target]) - top) - std::log(sum)), argmax};
}

void check_targets(ConstTensorView logits, ConstTensorView targets) {
  require(logits.shape.rank == 2 && logits.cols() > 0, "cross_entropy: logits must be [tokens, vocab]");
  require(targets.count() == logits.rows(), "cross_entropy: targets must be [tokens]");
  const std::int32_t* target = targets.as<std::int32_t>();
  for (std::int64_t t = 0; t < targets.count(); ++t) {
    require(target[t] == kNotTrained || (target[t] >= 0 && target[t] < logits.cols()),
            "cross_entropy: a target lies outside the vocabulary");
  }
}

}  // namespace

void cross_entropy_cpu(TensorView logits, ConstTensorView targets, float scale, TensorView loss, TensorView gradient,
                       const Stream& stream) {
  check_targets(logits, targets);
  require(gradient.data == logits.data && gradient.dtype == DType::f32,
          "cross_entropy: the CPU writes the gradient over the logits");
  require(loss.count() == logits.rows(), "cross_entropy: loss must be [tokens]");
  const std::int64_t vocab = logits.cols();
  float* rows = logits.as<float>();
  const std::int32_t* target = targets.as<std::int32_t>();
  float* out = loss.as<float>();
  parallel_ranges(logits.rows(), kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      out[t] = loss_and_gradient(rows + t * vocab, vocab, target[t], scale);
    }
  });
}

void token_log_prob_cpu(ConstTensorView logits, ConstTensorView targets, TensorView log_prob, TensorView argmax,
                        const Stream& stream) {
  check_targets(logits, targets);
  require(log_prob.count() == logits.rows() && argmax.count() == logits.rows(),
          "token_log_prob: log_prob and argmax must be [tokens]");
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

}  // namespace lora_dist

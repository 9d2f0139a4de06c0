// The CPU side of softmax_numbers and cross_entropy_part.
#include "kernels/cross_entropy_part/cross_entropy_part.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/common/exp.h"
#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/common/row_softmax.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kTokensPerPiece = 4;

// x[i] = exp(x[i] - top) * factor.
LORA_DIST_MULTIVERSION void shares(float* x, float top, float factor, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    x[i] = fast_exp(x[i] - top) * factor;
  }
}

/// What all parts of a row say together.
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

}  // namespace

void softmax_numbers_cpu(ConstTensorView logits, ConstTensorView targets, std::int64_t first, TensorView numbers,
                         const Stream& stream) {
  check_softmax_numbers(logits, targets, numbers);
  require(numbers.rows() == logits.rows(), "cross_entropy_part: numbers must be [tokens, 3]");
  const std::int64_t width = logits.cols();
  const float* rows = logits.as<float>();
  const std::int32_t* target = targets.as<std::int32_t>();
  float* out = numbers.as<float>();
  parallel_ranges(logits.rows(), kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const float* row = rows + t * width;
      const float top = row_max(row, width);
      double sum = 0.0;
      for (std::int64_t i = 0; i < width; i += kSumPiece) {
        sum += sum_of_exp(row + i, top, std::min(kSumPiece, width - i));
      }
      const std::int64_t at = target[t] - first;
      float* three = out + t * kSoftmaxNumbers;
      three[0] = top;
      three[1] = static_cast<float>(sum);
      three[2] = target[t] != kNotTrained && at >= 0 && at < width ? row[at] : 0.0F;
    }
  });
}

void cross_entropy_part_cpu(TensorView logits, ConstTensorView targets, std::int64_t first, ConstTensorView numbers, float scale,
                            TensorView loss, TensorView gradient, const Stream& stream) {
  check_softmax_numbers(logits, targets, numbers);
  require(gradient.data == logits.data && gradient.dtype == DType::f32,
          "cross_entropy_part: the CPU writes the gradient over the logits");
  require(loss.count() == logits.rows() && (logits.rows() == 0 || numbers.rows() % logits.rows() == 0),
          "cross_entropy_part: loss must be [tokens], numbers [parts * tokens, 3]");
  const std::int64_t tokens = logits.rows();
  const std::int64_t width = logits.cols();
  const std::int64_t parts = tokens == 0 ? 0 : numbers.rows() / tokens;
  float* rows = logits.as<float>();
  const float* all = numbers.as<float>();
  const std::int32_t* target = targets.as<std::int32_t>();
  float* out = loss.as<float>();
  parallel_ranges(tokens, kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      float* row = rows + t * width;
      if (target[t] == kNotTrained) {
        std::fill_n(row, width, 0.0F);
        out[t] = 0.0F;
        continue;
      }
      const Joined joined = join(all + t * kSoftmaxNumbers, parts, tokens * kSoftmaxNumbers);
      out[t] = static_cast<float>(std::log(joined.sum) + (static_cast<double>(joined.top) - joined.target_logit));
      shares(row, joined.top, static_cast<float>(scale / joined.sum), width);
      if (const std::int64_t at = target[t] - first; at >= 0 && at < width) {
        row[at] -= scale;
      }
    }
  });
}

}  // namespace lora_dist

// The CPU side of dropout: a mask for 256 features of a token at a time, then one product with it.
#include "kernels/dropout/dropout.h"

#include <algorithm>

#include "kernels/common/multiversion.h"
#include "kernels/common/parallel.h"
#include "kernels/dropout/dropout_mask.h"

namespace lora_dist {
namespace {

using dropout_mask::kBlock;
using dropout_mask::Row;

constexpr std::int64_t kTokensPerPiece = 16;

LORA_DIST_MULTIVERSION void multiply(const float* x, const float* factors, float* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = x[i] * factors[i];
  }
}

LORA_DIST_MULTIVERSION void multiply_add(const float* x, const float* factors, float* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] += x[i] * factors[i];
  }
}

// Shared by forward and backward: calls apply(in, factors, out, n) on blocks of each token's row.
template <class Apply>
void for_each_block(ConstTensorView in, ConstTensorView samples, ConstTensorView positions, float p, const DropoutKey& key,
                    TensorView out, const Stream& stream, Apply apply) {
  require(in.shape.rank == 2 && in.shape == out.shape, "dropout: both views must be [tokens, features]");
  require(samples.count() == in.rows() && positions.count() == in.rows(), "dropout: samples and positions must be [tokens]");
  require(p >= 0.0F && p < 1.0F, "dropout: p must be in [0, 1)");
  require(key.module < 16, "dropout: module must be less than 16");
  const std::int64_t features = in.cols();
  const float* from = in.as<float>();
  float* to = out.as<float>();
  const std::int32_t* sample = samples.as<std::int32_t>();
  const std::int32_t* position = positions.as<std::int32_t>();
  const Row shared = {
      .key = {static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32) ^ (key.step * 0x9E3779B9U)},
      .counter = {0, 0, 0, key.layer * 16 + key.module},
      .threshold = static_cast<std::uint32_t>(static_cast<double>(p) * 0x1p32),
      .factor = static_cast<float>(1.0 / (1.0 - static_cast<double>(p)))};
  const dropout_mask::FillBlock fill_block = dropout_mask::best_fill_block();
  parallel_ranges(in.rows(), kTokensPerPiece, stream, [&](std::int64_t begin, std::int64_t end) {
    alignas(64) float factors[kBlock];
    for (std::int64_t t = begin; t < end; ++t) {
      Row row = shared;
      row.counter[1] = static_cast<std::uint32_t>(position[t]);
      row.counter[2] = static_cast<std::uint32_t>(sample[t]);
      for (std::int64_t f = 0; f < features;) {
        const std::int64_t whole = key.first_feature + f;
        const std::int64_t ahead = whole % 4;  // a counter gives four numbers
        const std::int64_t n = std::min(kBlock - ahead, features - f);
        fill_block(row, whole - ahead, factors);
        apply(from + t * features + f, factors + ahead, to + t * features + f, n);
        f += n;
      }
    }
  });
}

}  // namespace

void dropout_cpu(ConstTensorView x, ConstTensorView samples, ConstTensorView positions, float p, const DropoutKey& key,
                 TensorView y, const Stream& stream) {
  for_each_block(x, samples, positions, p, key, y, stream, multiply);
}

void dropout_backward_cpu(ConstTensorView dy, ConstTensorView samples, ConstTensorView positions, float p, const DropoutKey& key,
                          TensorView dx, const Stream& stream) {
  for_each_block(dy, samples, positions, p, key, dx, stream, multiply_add);
}

}  // namespace lora_dist

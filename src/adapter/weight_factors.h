// Low-rank factors of a weight: what some initialisations of LoRA start from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/common/stream.h"

namespace lora_dist {

/// Row-major.
struct WeightFactors {
  std::vector<float> a;  // [r, in]
  std::vector<float> b;  // [out, r]
};

/// A weight [out, in], row-major.
struct HostWeight {
  std::span<const float> values;
  std::int64_t out = 0;
  std::int64_t in = 0;
};

/// The best approximation of weight / scale by a product B A of rank r: A = sqrt(S) V^T and B = U sqrt(S) of the r largest
/// singular values S, largest first (PiSSA: Meng et al. 2024, arXiv:2404.02948). In double; the largest element of each row of A
/// is positive. The same bits for any number of threads. r is at most min(out, in). Throws Error(model) if the values do not
/// converge.
WeightFactors principal_factors(const HostWeight& weight, std::int64_t r, double scale, const Stream& stream);

/// The first r columns of Q and rows of R of weight = Q R (OLoRA: Büyükakyüz 2024, arXiv:2406.01775), with the signs of LAPACK's
/// Householder reflections. In double. r is at most min(out, in).
WeightFactors orthonormal_factors(const HostWeight& weight, std::int64_t r);

}  // namespace lora_dist

// How tests compare a kernel with its double-precision reference, and one number of threads with another.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/common/stream.h"

namespace lora_dist::testing_support {

/// The largest difference over the largest magnitude expected: what rounding does to a tensor as a whole, with no trouble where
/// single elements cancel to nothing. NaN or unequal sizes give infinity.
template <class Actual>
double error_of(const std::vector<Actual>& actual, const std::vector<double>& expected) {
  double worst = 0.0;
  double largest = std::numeric_limits<double>::min();
  for (std::size_t i = 0; i < std::min(actual.size(), expected.size()); ++i) {
    const double difference = std::fabs(static_cast<double>(actual[i]) - expected[i]);
    worst = difference <= worst ? worst : difference;
    largest = std::max(largest, std::fabs(expected[i]));
  }
  return actual.size() == expected.size() && !std::isnan(worst) ? worst / largest : std::numeric_limits<double>::infinity();
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Runs `compute(stream)`, which returns floats, on one, two and three threads: the bits must be equal.
template <class Compute>
void expect_same_bits_on_any_threads(Compute compute) {
  const std::vector<float> one = compute(Stream{.threads = 1});
  EXPECT_TRUE(same_bits(one, compute(Stream{.threads = 2}))) << "two threads";
  EXPECT_TRUE(same_bits(one, compute(Stream{.threads = 3}))) << "three threads";
}

/// Joins results, so that one comparison covers all outputs of an operator.
inline std::vector<float> join(std::initializer_list<std::vector<float>> parts) {
  std::vector<float> all;
  for (const std::vector<float>& part : parts) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace lora_dist::testing_support

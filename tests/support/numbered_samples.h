// Samples of given lengths, whose tokens say which sample they are of.
#pragma once

#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "src/data/random_key.h"
#include "src/data/sample.h"

namespace lora_dist::test {

/// Samples whose ids count up from ten times their number; the labels are the ids.
inline std::vector<Sample> samples_of(const std::vector<int>& lengths) {
  static const std::vector<std::int32_t> numbers = [] {
    std::vector<std::int32_t> out(60000);
    std::iota(out.begin(), out.end(), 0);
    return out;
  }();
  std::vector<Sample> samples;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const auto ids = std::span(numbers).subspan(10 * i, static_cast<std::size_t>(lengths[i]));
    samples.push_back({100 + static_cast<std::int64_t>(i), ids, ids});
  }
  return samples;
}

inline std::vector<Sample> random_samples(int n) {
  std::vector<int> lengths;
  for (int i = 0; i < n; ++i) {
    lengths.push_back(2 + static_cast<int>(random_key(1, Draw::order, 0, static_cast<std::uint64_t>(i)) % 300));
  }
  return samples_of(lengths);
}

}  // namespace lora_dist::test

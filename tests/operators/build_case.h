// Short words for writing the list of cases.
#pragma once

#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "kernels/common/philox.h"
#include "tests/operators/operator_case.h"

namespace lora_dist::operators {

/// Normally distributed enough (a sum of four uniforms, variance 1), from the case's own numbers; repeated by run_case beyond
/// 65,521.
inline std::vector<double> random_values(std::int64_t count, std::uint32_t seed, double scale = 1.0, double offset = 0.0) {
  std::vector<double> values(static_cast<std::size_t>(std::min<std::int64_t>(std::max<std::int64_t>(count, 1), 65521)));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const PhiloxCounter bits = philox4x32({static_cast<std::uint32_t>(i), seed, 0, 0}, {1, 2});
    double sum = -2.0;
    for (const std::uint32_t word : bits) {
      sum += static_cast<double>(uniform_float(word));
    }
    values[i] = offset + scale * sum * std::sqrt(3.0);
  }
  return values;
}

inline Operand random_operand(Kind kind, Use use, Shape shape, std::uint32_t seed, double scale = 1.0, double offset = 0.0) {
  return {kind, use, shape, random_values(shape.count(), seed, scale, offset)};
}
inline Operand activation(Shape shape, std::uint32_t seed, double scale = 1.0) {
  return random_operand(Kind::activation, Use::in, shape, seed, scale);
}
inline Operand changed_activation(Shape shape, std::uint32_t seed) {
  return random_operand(Kind::activation, Use::in_out, shape, seed);
}
inline Operand written(Kind kind, Shape shape) { return {kind, Use::out, shape, {}}; }
inline Operand f32(Shape shape, std::uint32_t seed, double scale = 1.0, double offset = 0.0) {
  return random_operand(Kind::f32, Use::in, shape, seed, scale, offset);
}
/// Whole numbers in [0, below), scattered.
inline Operand whole(Kind kind, Shape shape, std::int64_t below, std::uint32_t seed) {
  Operand operand{kind, Use::in, shape, {}};
  for (std::int64_t i = 0; i < shape.count(); ++i) {
    operand.values.push_back(static_cast<double>(philox4x32({static_cast<std::uint32_t>(i), seed, 7, 7}, {3, 4})[0] %
                                                 static_cast<std::uint64_t>(below)));
  }
  return operand;
}
inline Operand given(Kind kind, const std::vector<std::int64_t>& values) {
  return {kind, Use::in, {static_cast<std::int64_t>(values.size())}, {values.begin(), values.end()}};
}

}  // namespace lora_dist::operators

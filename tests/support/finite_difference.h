// Gradients by central differences in double precision, against which hand-written backwards are held.
#pragma once

#include <cstddef>
#include <vector>

namespace lora_dist::testing_support {

/// d f / d x at `x`, one element at a time. With h = 1e-5 the error is about h^2 f''' plus 1e-16 |f| / h: below 1e-9 here.
template <class Function>
std::vector<double> finite_difference(Function f, std::vector<double> x, double h = 1e-5) {
  std::vector<double> gradient(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double at = x[i];
    x[i] = at + h;
    const double above = f(x);
    x[i] = at - h;
    const double below = f(x);
    x[i] = at;
    gradient[i] = (above - below) / (2.0 * h);
  }
  return gradient;
}

/// sum of a * b: the scalar that a backward with upstream gradient b differentiates.
inline double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += a[i] * b[i];
  }
  return sum;
}

}  // namespace lora_dist::testing_support

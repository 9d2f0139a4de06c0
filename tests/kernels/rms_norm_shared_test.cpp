// RMSNorm over rows that two ranks share, against double precision and finite differences.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/rms_norm/rms_norm_shared.h"
#include "tests/support/compare.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_floats.h"

namespace lora_dist::rms_norm_shared_test {
namespace {

using namespace testing_support;

constexpr std::int64_t kTokens = 5;
constexpr std::int64_t kWidth = 37;
constexpr float kEps = 1e-3F;

/// Columns [begin, end) of [kTokens, kWidth].
struct Part {
  std::int64_t begin;
  std::int64_t end;
  std::int64_t width() const { return end - begin; }
};

std::vector<float> columns(const std::vector<float>& whole, const Part& part) {
  std::vector<float> out;
  for (std::int64_t t = 0; t < static_cast<std::int64_t>(whole.size()) / kWidth; ++t) {
    out.insert(out.end(), whole.begin() + t * kWidth + part.begin, whole.begin() + t * kWidth + part.end);
  }
  return out;
}

void put(const std::vector<float>& values, const Part& part, std::vector<float>& whole) {
  for (std::int64_t t = 0; t < kTokens; ++t) {
    std::copy_n(values.begin() + t * part.width(), part.width(), whole.begin() + t * kWidth + part.begin);
  }
}

TensorView rows(std::vector<float>& values, const Part& part) { return view(values.data(), {kTokens, part.width()}); }

struct Result {
  std::vector<float> y;
  std::vector<float> dx;
};

Result run(const std::vector<float>& x, const std::vector<float>& weight, const std::vector<float>& dy,
           const std::vector<Part>& parts, const Stream& stream = {}) {
  std::vector<float> sums(kTokens, 0.0F);
  std::vector<float> dots(kTokens, 0.0F);
  for (const Part& part : parts) {
    std::vector<float> x_part = columns(x, part);
    std::vector<float> of_part(kTokens);
    square_sums(rows(x_part, part), view(std::span(of_part)), stream);
    for (std::size_t t = 0; t < sums.size(); ++t) {
      sums[t] += of_part[t];
    }
    std::vector<float> dy_part = columns(dy, part);
    const std::vector<float> w = columns(weight, part);
    rms_norm_dots(rows(dy_part, part), rows(x_part, part), view(std::span(w)), view(std::span(of_part)), stream);
    for (std::size_t t = 0; t < dots.size(); ++t) {
      dots[t] += of_part[t];
    }
  }
  Result result{std::vector<float>(x.size()), std::vector<float>(x.size())};
  for (const Part& part : parts) {
    std::vector<float> x_part = columns(x, part);
    const std::vector<float> w = columns(weight, part);
    std::vector<float> y(x_part.size());
    std::vector<float> rstd(kTokens);
    rms_norm_shared({.x = rows(x_part, part),
                     .weight = view(std::span(w)),
                     .sums = view(std::span(sums)),
                     .width = kWidth,
                     .eps = kEps,
                     .y = rows(y, part),
                     .rstd = view(std::span(rstd))},
                    stream);
    put(y, part, result.y);
    std::vector<float> gradient = columns(dy, part);
    rms_norm_shared_backward({.dy = rows(gradient, part),
                              .x = rows(x_part, part),
                              .weight = view(std::span(w)),
                              .rstd = view(std::span(rstd)),
                              .dots = view(std::span(dots)),
                              .width = kWidth,
                              .dx = rows(gradient, part)},
                             stream);
    put(gradient, part, result.dx);
  }
  return result;
}

std::vector<double> reference(const std::vector<double>& x, const std::vector<float>& weight) {
  std::vector<double> y(x.size());
  for (std::int64_t t = 0; t < kTokens; ++t) {
    double sum = 0.0;
    for (std::int64_t i = t * kWidth; i < (t + 1) * kWidth; ++i) {
      sum += x[static_cast<std::size_t>(i)] * x[static_cast<std::size_t>(i)];
    }
    const double rstd = 1.0 / std::sqrt(sum / static_cast<double>(kWidth) + static_cast<double>(kEps));
    for (std::int64_t i = 0; i < kWidth; ++i) {
      const auto at = static_cast<std::size_t>(t * kWidth + i);
      y[at] = x[at] * rstd * static_cast<double>(weight[static_cast<std::size_t>(i)]);
    }
  }
  return y;
}

TEST(SharedRmsNorm, EqualsDoubleAndFiniteDifferences) {
  const std::vector<float> x = random_floats(kTokens * kWidth, 1);
  const std::vector<float> weight = random_floats(kWidth, 2);
  const std::vector<float> dy = random_floats(kTokens * kWidth, 3);
  const auto f = [&](const std::vector<double>& at) { return dot(reference(at, weight), as_double(dy)); };
  for (const std::vector<Part>& parts : {std::vector<Part>{{0, kWidth}}, std::vector<Part>{{0, 20}, {20, 21}, {21, kWidth}}}) {
    const Result got = run(x, weight, dy, parts);
    EXPECT_LT(error_of(got.y, reference(as_double(x), weight)), 3e-7) << parts.size();
    EXPECT_LT(error_of(got.dx, finite_difference(f, as_double(x))), 1e-6) << parts.size();
  }
}

TEST(SharedRmsNorm, SameBitsOnAnyThreads) {
  const std::vector<float> x = random_floats(kTokens * kWidth, 1);
  const std::vector<float> weight = random_floats(kWidth, 2);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    const Result got = run(x, weight, x, {{0, kWidth}}, stream);
    return join({got.y, got.dx});
  });
}

TEST(SharedRmsNorm, RefusesWhatTheContractExcludes) {
  std::vector<float> x(12);
  std::vector<float> sums(4);
  EXPECT_NO_THROW(square_sums(view(x.data(), {4, 3}), view(sums.data(), {4}), Stream{}));
  EXPECT_THROW(square_sums(view(x.data(), {3, 4}), view(sums.data(), {4}), Stream{}), KernelError);
  const auto norm = [&](std::int64_t width, std::int64_t weights) {
    rms_norm_shared({.x = view(x.data(), {4, 3}),
                     .weight = view(x.data(), {weights}),
                     .sums = view(sums.data(), {4}),
                     .width = width,
                     .eps = kEps,
                     .y = view(x.data(), {4, 3}),
                     .rstd = view(sums.data(), {4})},
                    Stream{});
  };
  EXPECT_NO_THROW(norm(6, 3));
  EXPECT_THROW(norm(2, 3), KernelError);
  EXPECT_THROW(norm(6, 6), KernelError);
}

}  // namespace
}  // namespace lora_dist::rms_norm_shared_test

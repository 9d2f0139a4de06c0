// Cross entropy and scoring against double precision and finite differences.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/elementwise/elementwise.h"
#include "tests/support/compare.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_floats.h"

namespace lora_dist::cross_entropy_test {
namespace {

using namespace testing_support;

struct Case {
  std::int64_t tokens;
  std::int64_t vocab;
  float spread;
};
const std::vector<Case> kCases = {{1, 1, 1.0F}, {3, 5, 4.0F}, {4, 1023, 8.0F}, {3, 1025, 30.0F}, {2, 50000, 10.0F}};

std::vector<std::int32_t> targets_of(const Case& c) {
  std::vector<std::int32_t> targets;
  for (std::int64_t t = 0; t < c.tokens; ++t) {
    targets.push_back(t == 1 ? -100 : static_cast<std::int32_t>((t * 7919 + 3) % c.vocab));
  }
  return targets;
}

double reference_loss(const double* row, std::int64_t vocab, std::int32_t target) {
  if (target == -100) {
    return 0.0;
  }
  const double top = *std::max_element(row, row + vocab);
  double sum = 0.0;
  for (std::int64_t i = 0; i < vocab; ++i) {
    sum += std::exp(row[i] - top);
  }
  return std::log(sum) + top - row[target];
}

std::vector<double> reference_losses(const std::vector<double>& logits, const Case& c) {
  std::vector<double> losses;
  for (std::int64_t t = 0; t < c.tokens; ++t) {
    losses.push_back(reference_loss(logits.data() + t * c.vocab, c.vocab, targets_of(c)[static_cast<std::size_t>(t)]));
  }
  return losses;
}

struct Result {
  std::vector<float> loss;
  std::vector<float> gradient;
};

Result run(const Case& c, std::vector<float> logits, const LossGradient& of, const Stream& stream) {
  const std::vector<std::int32_t> targets = targets_of(c);
  std::vector<float> loss(static_cast<std::size_t>(c.tokens));
  cross_entropy(view(logits.data(), {c.tokens, c.vocab}), view(targets.data(), {c.tokens}), of, view(loss.data(), {c.tokens}),
                view(logits.data(), {c.tokens, c.vocab}), stream);
  return {loss, logits};
}

struct Scores {
  std::vector<float> log_prob;
  std::vector<std::int32_t> argmax;
};

Scores score(const std::vector<float>& logits, const std::vector<std::int32_t>& targets, const Stream& stream) {
  const auto tokens = static_cast<std::int64_t>(targets.size());
  Scores s = {.log_prob = std::vector<float>(targets.size()), .argmax = std::vector<std::int32_t>(targets.size())};
  token_log_prob(view(logits.data(), {tokens, static_cast<std::int64_t>(logits.size()) / tokens}), view(targets.data(), {tokens}),
                 view(s.log_prob.data(), {tokens}), view(s.argmax.data(), {tokens}), stream);
  return s;
}

TEST(CrossEntropy, LossAndLogProbEqualDouble) {
  for (const Case& c : kCases) {
    const std::vector<float> logits = random_floats(c.tokens * c.vocab, 1, c.spread);
    const std::vector<double> expected = reference_losses(as_double(logits), c);
    const std::vector<float> loss = run(c, logits, {}, Stream{}).loss;
    const Scores scores = score(logits, targets_of(c), Stream{});
    for (std::size_t t = 0; t < expected.size(); ++t) {
      // logit - top is rounded once (half a unit of the spread), the loss itself once.
      const double tolerance = 1.2e-7 * (1.0 + 2.0 * c.spread);
      EXPECT_NEAR(loss[t], expected[t], tolerance) << c.vocab;
      EXPECT_NEAR(scores.log_prob[t], -expected[t], tolerance) << c.vocab;
    }
  }
}

TEST(CrossEntropy, GradientEqualsFiniteDifferences) {
  for (const Case& c : {kCases[1], Case{3, 40, 3.0F}}) {
    const std::vector<float> logits = random_floats(c.tokens * c.vocab, 2, c.spread);
    const float scale = 0.37F;
    const auto f = [&](const std::vector<double>& x) {
      double sum = 0.0;
      for (const double loss : reference_losses(x, c)) {
        sum += loss;
      }
      return sum * scale;
    };
    EXPECT_LT(error_of(run(c, logits, {scale}, Stream{}).gradient, finite_difference(f, as_double(logits))), 1e-6) << c.vocab;
  }
}

// x: before the soft cap.
std::vector<double> capped(const std::vector<double>& x, double cap) {
  std::vector<double> y;
  for (const double value : x) {
    y.push_back(cap * std::tanh(value / cap));
  }
  return y;
}

TEST(CrossEntropy, GradientThroughASoftCapEqualsFiniteDifferences) {
  constexpr LossGradient kOf{0.37F, 3.0F};
  for (const Case& c : {kCases[1], Case{3, 40, 3.0F}}) {
    const std::vector<float> x = random_floats(c.tokens * c.vocab, 2, c.spread);
    std::vector<float> logits = x;
    soft_cap(view(std::span(logits)), kOf.soft_cap, Stream{});
    const Result got = run(c, logits, kOf, Stream{});
    const auto f = [&](const std::vector<double>& at) {
      const std::vector<double> losses = reference_losses(capped(at, kOf.soft_cap), c);
      return std::accumulate(losses.begin(), losses.end(), 0.0) * static_cast<double>(kOf.scale);
    };
    EXPECT_LT(error_of(got.gradient, finite_difference(f, as_double(x))), 1e-6) << c.vocab;
    EXPECT_LT(error_of(got.loss, reference_losses(capped(as_double(x), kOf.soft_cap), c)), 1e-6) << c.vocab;
  }
}

TEST(CrossEntropy, IgnoredRowsAreZero) {
  const Case c = {3, 70, 5.0F};
  const Result r = run(c, random_floats(c.tokens * c.vocab, 3, c.spread), {}, Stream{});
  EXPECT_EQ(r.loss[1], 0.0F);
  EXPECT_EQ(std::vector<float>(r.gradient.begin() + 70, r.gradient.begin() + 140), std::vector<float>(70, 0.0F));
  EXPECT_NE(r.loss[2], 0.0F);
}

TEST(CrossEntropy, RowsOfGradientsSumToZero) {
  const Case c = {1, 8192, 6.0F};
  const Result r = run(c, random_floats(c.vocab, 4, c.spread), {}, Stream{});
  double sum = 0.0;
  for (const float g : r.gradient) {
    sum += g;
  }
  EXPECT_NEAR(sum, 0.0, 1e-6);
}

TEST(CrossEntropy, ExtremeLogits) {
  const float inf = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Case one = {1, 20, 0.0F};  // the target is 3
  std::vector<float> logits(20, -inf);
  logits[3] = 2.0F;
  EXPECT_EQ(run(one, logits, {}, Stream{}).loss[0], 0.0F);
  logits.assign(20, -3e38F);
  logits[3] = 3e38F;
  EXPECT_EQ(run(one, logits, {}, Stream{}).loss[0], 0.0F);
  for (const std::size_t place : {std::size_t{3}, std::size_t{17}}) {
    logits.assign(20, 1.0F);
    logits[place] = nan;
    EXPECT_TRUE(std::isnan(run(one, logits, {}, Stream{}).loss[0]));
    EXPECT_TRUE(std::isnan(run(one, logits, {}, Stream{}).gradient[5]));
    EXPECT_TRUE(std::isnan(score(logits, {3}, Stream{}).log_prob[0]));
  }
  logits.assign(20, nan);
  EXPECT_EQ(score(logits, {3}, Stream{}).argmax[0], 0);
}

TEST(TokenLogProb, ArgmaxIsTheLowestOfEquals) {
  std::vector<float> logits(2 * 100, 0.0F);
  logits[40] = logits[77] = 5.0F;
  logits[199] = 1.0F;
  const Scores s = score(logits, {-100, 4}, Stream{});
  EXPECT_EQ(s.argmax, (std::vector<std::int32_t>{40, 99}));
  EXPECT_EQ(s.log_prob[0], 0.0F);
}

TEST(CrossEntropy, SameBitsOnAnyThreads) {
  const Case c = {37, 1500, 5.0F};
  const std::vector<float> logits = random_floats(c.tokens * c.vocab, 5, c.spread);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    const Result r = run(c, logits, {0.01F}, stream);
    return join({r.loss, r.gradient, score(logits, targets_of(c), stream).log_prob});
  });
}

TEST(CrossEntropy, RefusesWhatTheContractExcludes) {
  std::vector<float> logits(20);
  std::vector<float> loss(2);
  std::vector<std::int32_t> argmax(2);
  const auto call = [&](std::vector<std::int32_t> targets, Shape loss_shape) {
    const ConstTensorView target_view = view(std::as_const(targets).data(), {static_cast<std::int64_t>(targets.size())});
    cross_entropy(view(logits.data(), {2, 10}), target_view, {}, view(loss.data(), loss_shape), view(logits.data(), {2, 10}),
                  Stream{});
  };
  EXPECT_NO_THROW(call({0, 9}, {2}));
  EXPECT_THROW(call({0, 10}, {2}), KernelError);
  EXPECT_THROW(call({-1, 0}, {2}), KernelError);
  EXPECT_THROW(call({0}, {2}), KernelError);
  EXPECT_THROW(call({0, 1}, {1}), KernelError);
  const std::vector<std::int32_t> targets = {0, 11};
  EXPECT_THROW(token_log_prob(view(logits.data(), {2, 10}), view(targets.data(), {2}), view(loss.data(), {2}),
                              view(argmax.data(), {2}), Stream{}),
               KernelError);
}

}  // namespace
}  // namespace lora_dist::cross_entropy_test

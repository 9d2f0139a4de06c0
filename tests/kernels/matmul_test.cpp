// matmul against a product in double precision.
#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <limits>
#include <thread>

#include "kernels/matmul/matmul.h"
#include "tests/support/compare.h"
#include "tests/support/random_floats.h"

namespace lora_dist::matmul_test {
namespace {

using namespace testing_support;

struct Case {
  std::int64_t m;
  std::int64_t n;
  std::int64_t k;
};

// Odd sizes, thin ones (rank 16 and its gradients), single rows and columns, and sizes on both sides of every tile border.
const std::vector<Case> kCases = {{1, 1, 1},       {1, 7, 5},       {3, 1, 64},     {7, 13, 5},     {33, 17, 129},
                                  {128, 128, 64},  {129, 257, 31},  {300, 16, 128}, {255, 300, 33}, {511, 513, 5},
                                  {512, 40, 64},   {513, 1025, 3},  {512, 1, 70},   {770, 1100, 9}, {16, 513, 300},
                                  {16, 256, 1000}, {1, 1000, 1100}, {2, 4097, 140}};

struct Problem {
  Case shape;
  Transpose op_a;
  Transpose op_b;
  float alpha;
  float beta;
};

std::vector<float> run(const Problem& p, const Stream& stream) {
  const auto [m, n, k] = p.shape;
  const std::vector<float> a = random_floats(m * k, 1);
  const std::vector<float> b = random_floats(k * n, 2);
  std::vector<float> c = random_floats(m * n, 3);
  matmul({.a = view(a.data(), p.op_a == Transpose::yes ? Shape{k, m} : Shape{m, k}),
          .op_a = p.op_a,
          .b = view(b.data(), p.op_b == Transpose::yes ? Shape{n, k} : Shape{k, n}),
          .op_b = p.op_b,
          .alpha = p.alpha,
          .added = {.beta = p.beta},
          .c = view(c.data(), {m, n})},
         stream);
  return c;
}

std::vector<double> expected(const Problem& p) {
  const auto [m, n, k] = p.shape;
  const std::vector<float> a = random_floats(m * k, 1);
  const std::vector<float> b = random_floats(k * n, 2);
  std::vector<double> c = as_double(random_floats(m * n, 3));
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0.0;
      for (std::int64_t l = 0; l < k; ++l) {
        const float left =
            p.op_a == Transpose::yes ? a[static_cast<std::size_t>(l * m + i)] : a[static_cast<std::size_t>(i * k + l)];
        const float right =
            p.op_b == Transpose::yes ? b[static_cast<std::size_t>(j * k + l)] : b[static_cast<std::size_t>(l * n + j)];
        sum += static_cast<double>(left) * right;
      }
      double& out = c[static_cast<std::size_t>(i * n + j)];
      out = p.alpha * sum + (p.beta == 0.0F ? 0.0 : p.beta * out);
    }
  }
  return c;
}

TEST(Matmul, EqualsAProductInDouble) {
  for (const Case& shape : kCases) {
    for (const Transpose op_a : {Transpose::no, Transpose::yes}) {
      for (const Transpose op_b : {Transpose::no, Transpose::yes}) {
        for (const auto& [alpha, beta] : {std::pair{1.0F, 0.0F}, std::pair{0.5F, 1.0F}, std::pair{-2.0F, 0.25F}}) {
          const Problem p = {shape, op_a, op_b, alpha, beta};
          // Each of k additions rounds a partial sum of about sqrt(k) / 3 by half a unit: sqrt(k) of those add up to far less
          // than k units of the result's own size; 4 units and one per 16 terms is generous and still catches one missing term.
          const double tolerance = (4.0 + static_cast<double>(shape.k) / 16.0) * std::numeric_limits<float>::epsilon();
          EXPECT_LT(error_of(run(p, Stream{}), expected(p)), tolerance)
              << shape.m << " x " << shape.n << " x " << shape.k << " " << static_cast<int>(op_a) << static_cast<int>(op_b) << " "
              << alpha << " " << beta;
        }
      }
    }
  }
}

TEST(Matmul, SameBitsOnAnyThreads) {
  for (const Case& shape : kCases) {
    for (const Transpose op_a : {Transpose::no, Transpose::yes}) {
      for (const Transpose op_b : {Transpose::no, Transpose::yes}) {
        expect_same_bits_on_any_threads([&](const Stream& stream) { return run({shape, op_a, op_b, 1.0F, 1.0F}, stream); });
      }
    }
  }
}

TEST(Matmul, SameBitsFromAnyCaller) {
  // A thread that is not the main one has OpenMP settings of its own: the library must not split the product there.
  const Problem p = {{16, 256, 20000}, Transpose::no, Transpose::yes, 1.0F, 0.0F};
  std::vector<float> elsewhere;
  int library_threads = 0;
  std::thread([&] {
    omp_set_num_threads(4);
    elsewhere = run(p, Stream{});
    library_threads = omp_get_max_threads();
  }).join();
  EXPECT_EQ(library_threads, 1);
  EXPECT_TRUE(same_bits(elsewhere, run(p, Stream{})));
}

TEST(Matmul, BetaZeroDoesNotReadC) {
  for (const std::int64_t rows : {1, 3, 300}) {
    const std::vector<float> a(static_cast<std::size_t>(rows * 64), 1.0F);
    const std::vector<float> b(64 * 64, 1.0F);
    std::vector<float> c(static_cast<std::size_t>(rows * 64), std::numeric_limits<float>::quiet_NaN());
    matmul({.a = view(a.data(), {rows, 64}), .b = view(b.data(), {64, 64}), .c = view(c.data(), {rows, 64})}, Stream{});
    EXPECT_EQ(c, std::vector<float>(c.size(), 64.0F));
  }
}

/// The same bits as onto a copy, with the bias in a pass of its own.
TEST(Matmul, AddsAnotherMatrixAndABias) {
  std::vector<Case> cases = kCases;
  cases.push_back({5, 3, 0});
  for (const auto& [m, n, k] : cases) {
    const std::vector<float> a = random_floats(m * k, 1);
    const std::vector<float> b = random_floats(n * k, 2);
    const std::vector<float> onto = random_floats(m * n, 4);
    const std::vector<float> bias = random_floats(n, 5);
    for (const float beta : {0.0F, 1.0F}) {
      std::vector<float> expected = onto;
      matmul({.a = view(a.data(), {m, k}),
              .b = view(b.data(), {n, k}),
              .op_b = Transpose::yes,
              .alpha = 0.5F,
              .added = {.beta = beta},
              .c = view(expected.data(), {m, n})},
             Stream{});
      for (std::size_t i = 0; i < expected.size(); ++i) {
        expected[i] += bias[i % bias.size()];
      }
      expect_same_bits_on_any_threads([&](const Stream& stream) {
        std::vector<float> c(expected.size(), std::numeric_limits<float>::quiet_NaN());
        matmul({.a = view(a.data(), {m, k}),
                .b = view(b.data(), {n, k}),
                .op_b = Transpose::yes,
                .alpha = 0.5F,
                .added = {.beta = beta, .onto = view(onto.data(), {m, n}), .bias = view(bias.data(), {n})},
                .c = view(c.data(), {m, n})},
               stream);
        EXPECT_TRUE(same_bits(c, expected)) << m << " x " << n << " x " << k;
        return c;
      });
    }
  }
}

TEST(Matmul, WhatIsAddedMustFit) {
  std::vector<float> data(64, 1.0F);
  const auto product = [&](const Added& added) {
    matmul({.a = view(data.data(), {2, 3}),
            .b = view(data.data(), {4, 3}),
            .op_b = Transpose::yes,
            .added = added,
            .c = view(data.data() + 32, {2, 4})},
           Stream{});
  };
  EXPECT_THROW(product({1.0F, view(data.data(), {4, 2}), {}}), KernelError);
  EXPECT_THROW(product({1.0F, {data.data(), DType::bf16, {2, 4}}, {}}), KernelError);
  EXPECT_THROW(product({0.0F, {}, view(data.data(), {3})}), KernelError);
  EXPECT_THROW(product({0.0F, {}, {data.data(), DType::bf16, {4}}}), KernelError);
}

TEST(Matmul, NoTermsScaleC) {
  std::vector<float> c = {1.0F, 2.0F, 3.0F, std::numeric_limits<float>::quiet_NaN()};
  const std::vector<float> nothing(1);
  const auto multiply = [&](float beta, std::int64_t n) {
    matmul({.a = view(nothing.data(), {1, 0}),
            .b = view(nothing.data(), {0, n}),
            .added = {.beta = beta},
            .c = view(c.data(), {1, n})},
           Stream{});
  };
  multiply(2.0F, 3);
  EXPECT_EQ(c[0], 2.0F);
  EXPECT_EQ(c[2], 6.0F);
  multiply(0.0F, 4);
  EXPECT_EQ(c, std::vector<float>(4, 0.0F));
}

TEST(Matmul, NanGoesThrough) {
  std::vector<float> a(300 * 8, 1.0F);
  a[8 * 200 + 3] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> b(8 * 5, 1.0F);
  std::vector<float> c(300 * 5);
  matmul({.a = view(a.data(), {300, 8}), .b = view(b.data(), {8, 5}), .c = view(c.data(), {300, 5})}, Stream{});
  EXPECT_TRUE(std::isnan(c[200 * 5]));
  EXPECT_EQ(c[199 * 5], 8.0F);
}

TEST(Matmul, RefusesShapesThatDisagree) {
  std::vector<float> data(64);
  std::vector<double> wide(64);
  const auto call = [&](Shape a, Shape b, Shape c) {
    matmul({.a = view(data.data(), a), .b = view(data.data(), b), .op_b = Transpose::yes, .c = view(data.data(), c)}, Stream{});
  };
  EXPECT_THROW(call({2, 3}, {4, 5}, {2, 4}), KernelError);
  EXPECT_THROW(call({2, 3}, {4, 3}, {3, 4}), KernelError);
  EXPECT_THROW(call({2, 3}, {4, 3}, {2, 5}), KernelError);
  EXPECT_THROW(call({6}, {4, 3}, {2, 4}), KernelError);
  EXPECT_THROW(matmul({.a = view(wide.data(), {2, 2}), .b = view(data.data(), {2, 2}), .c = view(data.data(), {2, 2})}, Stream{}),
               KernelError);
}

}  // namespace
}  // namespace lora_dist::matmul_test

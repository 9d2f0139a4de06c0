// Attention against double precision and finite differences, with segments that cross tile boundaries.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/attention/attention.h"
#include "tests/support/compare.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_floats.h"

namespace lora_dist::attention_test {
namespace {

using namespace testing_support;

struct Case {
  AttentionShape shape;
  std::vector<std::int32_t> cu_seqlens_q;
  std::vector<std::int32_t> cu_seqlens_k;

  std::int64_t queries() const { return cu_seqlens_q.back(); }
  std::int64_t keys() const { return cu_seqlens_k.back(); }
  std::int64_t q_width() const { return std::int64_t{shape.heads} * shape.head_dim; }
  std::int64_t kv_width() const { return std::int64_t{shape.kv_heads} * shape.head_dim; }
};

AttentionShape shape_of(int heads, int kv_heads, int head_dim) {
  return {heads, kv_heads, head_dim, 1.0F / std::sqrt(static_cast<float>(head_dim))};
}

Case with_window(Case c, int window) {
  c.shape.window = window;
  return c;
}

Case with_soft_cap(Case c, float cap) {
  c.shape.soft_cap = cap;
  return c;
}

Case square(AttentionShape shape, std::vector<std::int32_t> starts) { return {shape, starts, starts}; }

const std::vector<Case> kSquare = {square(shape_of(1, 1, 8), {0, 1}), square(shape_of(2, 1, 8), {0, 1, 4, 4, 9}),
                                   square(shape_of(4, 2, 16), {0, 127, 255, 384, 513}), square(shape_of(2, 2, 64), {0, 300}),
                                   square(shape_of(3, 1, 24), {0, 130, 131})};

// One query against a cache (short and long), a few queries after a prompt, a chunk of a long prompt.
const std::vector<Case> kCached = {{shape_of(4, 2, 8), {0, 1}, {0, 1}},      {shape_of(4, 2, 8), {0, 1, 2}, {0, 50, 90}},
                                   {shape_of(8, 4, 64), {0, 1}, {0, 2500}},  {shape_of(2, 1, 16), {0, 7}, {0, 300}},
                                   {shape_of(2, 1, 16), {0, 140}, {0, 400}}, {shape_of(2, 1, 16), {0, 3, 5}, {0, 3, 260}}};

// Windows narrower than a tile, wider than one, ending on its border, of the token alone, as long as the segment.
std::vector<Case> windowed_squares() {
  std::vector<Case> cases;
  for (const int window : {1, 3, 100, 128, 129, 300, 513}) {
    cases.push_back(with_window(square(shape_of(4, 2, 16), {0, 127, 255, 384, 900}), window));
  }
  cases.push_back(with_window(square(shape_of(2, 1, 8), {0, 1, 4, 4, 9}), 2));
  return cases;
}
std::vector<Case> windowed_caches() {
  std::vector<Case> cases;
  for (const Case& c : kCached) {
    for (const int window : {1, 40, 200, 5000}) {
      cases.push_back(with_window(c, window));
    }
  }
  return cases;
}

// Caps that bend most scores, and one that hardly bends any.
std::vector<Case> capped_squares() {
  return {with_soft_cap(square(shape_of(4, 2, 16), {0, 127, 255, 384, 513}), 3.0F),
          with_soft_cap(with_window(square(shape_of(3, 1, 24), {0, 130, 131}), 100), 8.0F),
          with_soft_cap(square(shape_of(2, 2, 64), {0, 300}), 50.0F)};
}

struct Inputs {
  std::vector<float> q;
  std::vector<float> k;
  std::vector<float> v;
};

Inputs inputs_of(const Case& c, float scale = 2.0F) {
  return {random_floats(c.queries() * c.q_width(), 1, scale), random_floats(c.keys() * c.kv_width(), 2, scale),
          random_floats(c.keys() * c.kv_width(), 3, scale)};
}

template <class T>
ConstTensorView vector_view(const std::vector<T>& values) {
  return view(values.data(), {static_cast<std::int64_t>(values.size())});
}

struct Forward {
  std::vector<float> out;
  std::vector<float> log_sum_exp;
};

Forward forward(const Case& c, const Inputs& in, const Stream& stream) {
  Forward f = {.out = std::vector<float>(in.q.size()),
               .log_sum_exp = std::vector<float>(static_cast<std::size_t>(c.queries() * c.shape.heads))};
  attention({.q = view(in.q.data(), {c.queries(), c.q_width()}),
             .k = view(in.k.data(), {c.keys(), c.kv_width()}),
             .v = view(in.v.data(), {c.keys(), c.kv_width()}),
             .cu_seqlens_q = vector_view(c.cu_seqlens_q),
             .cu_seqlens_k = vector_view(c.cu_seqlens_k),
             .shape = c.shape,
             .out = view(f.out.data(), {c.queries(), c.q_width()}),
             .log_sum_exp = view(f.log_sum_exp.data(), {c.queries(), c.shape.heads})},
            stream);
  return f;
}

struct Gradients {
  std::vector<float> q;
  std::vector<float> k;
  std::vector<float> v;
};

Gradients backward(const Case& c, const Inputs& in, const Forward& f, const std::vector<float>& dout, const Stream& stream) {
  const float nan = std::numeric_limits<float>::quiet_NaN();  // gradients are written, not added to
  Gradients d = {.q = std::vector<float>(in.q.size(), nan),
                 .k = std::vector<float>(in.k.size(), nan),
                 .v = std::vector<float>(in.v.size(), nan)};
  const Shape q_shape = {c.queries(), c.q_width()};
  const Shape kv_shape = {c.keys(), c.kv_width()};
  attention_backward({.dout = view(dout.data(), q_shape),
                      .q = view(in.q.data(), q_shape),
                      .k = view(in.k.data(), kv_shape),
                      .v = view(in.v.data(), kv_shape),
                      .out = view(f.out.data(), q_shape),
                      .log_sum_exp = view(f.log_sum_exp.data(), {c.queries(), c.shape.heads}),
                      .starts = vector_view(c.cu_seqlens_q),
                      .shape = c.shape,
                      .dq = view(d.q.data(), q_shape),
                      .dk = view(d.k.data(), kv_shape),
                      .dv = view(d.v.data(), kv_shape)},
                     stream);
  return d;
}

struct Reference {
  std::vector<double> out;
  std::vector<double> log_sum_exp;
};

double capped(double score, const AttentionShape& shape) {
  const auto cap = static_cast<double>(shape.soft_cap);
  return cap > 0.0 ? cap * std::tanh(score / cap) : score;
}

Reference reference(const Case& c, const std::vector<double>& q, const std::vector<double>& k, const std::vector<double>& v) {
  Reference r = {.out = std::vector<double>(q.size()),
                 .log_sum_exp = std::vector<double>(static_cast<std::size_t>(c.queries() * c.shape.heads))};
  const std::int64_t dim = c.shape.head_dim;
  for (std::size_t s = 0; s + 1 < c.cu_seqlens_q.size(); ++s) {
    const std::int64_t nq = c.cu_seqlens_q[s + 1] - c.cu_seqlens_q[s];
    const std::int64_t nk = c.cu_seqlens_k[s + 1] - c.cu_seqlens_k[s];
    for (std::int64_t i = 0; i < nq; ++i) {
      for (std::int64_t h = 0; h < c.shape.heads; ++h) {
        const std::int64_t query = c.cu_seqlens_q[s] + i;
        const double* q_row = q.data() + query * c.q_width() + h * dim;
        const std::int64_t kv = h / (c.shape.heads / c.shape.kv_heads) * dim;
        const auto row_of = [&](const std::vector<double>& x, std::int64_t j) {
          return x.data() + (c.cu_seqlens_k[s] + j) * c.kv_width() + kv;
        };
        std::vector<double> score(static_cast<std::size_t>(nk - nq + i + 1));
        const std::size_t first =
            c.shape.window > 0 ? static_cast<std::size_t>(std::max<std::int64_t>(nk - nq + i + 1 - c.shape.window, 0)) : 0;
        double top = -std::numeric_limits<double>::infinity();
        for (std::size_t j = first; j < score.size(); ++j) {
          for (std::int64_t e = 0; e < dim; ++e) {
            score[j] += q_row[e] * row_of(k, static_cast<std::int64_t>(j))[e] * c.shape.scale;
          }
          score[j] = capped(score[j], c.shape);
          top = std::max(top, score[j]);
        }
        double sum = 0.0;
        for (std::size_t j = first; j < score.size(); ++j) {
          sum += std::exp(score[j] - top);
        }
        for (std::size_t j = first; j < score.size(); ++j) {
          for (std::int64_t e = 0; e < dim; ++e) {
            r.out[static_cast<std::size_t>(query * c.q_width() + h * dim + e)] +=
                std::exp(score[j] - top) / sum * row_of(v, static_cast<std::int64_t>(j))[e];
          }
        }
        r.log_sum_exp[static_cast<std::size_t>(query * c.shape.heads + h)] = top + std::log(sum);
      }
    }
  }
  return r;
}

TEST(Attention, EqualsDouble) {
  std::vector<Case> all = kSquare;
  all.insert(all.end(), kCached.begin(), kCached.end());
  for (const std::vector<Case>& windowed : {windowed_squares(), windowed_caches()}) {
    all.insert(all.end(), windowed.begin(), windowed.end());
  }
  const std::vector<Case> soft_capped = capped_squares();
  all.insert(all.end(), soft_capped.begin(), soft_capped.end());
  all.push_back(with_soft_cap(kCached[2], 5.0F));
  for (const Case& c : all) {
    const Inputs in = inputs_of(c);
    const Forward f = forward(c, in, Stream{});
    const Reference r = reference(c, as_double(in.q), as_double(in.k), as_double(in.v));
    // A score of size s carries an error of s units into its exponential; scores here reach about 20.
    EXPECT_LT(error_of(f.out, r.out), 3e-6) << c.queries() << " " << c.keys() << " " << c.shape.window;
    EXPECT_LT(error_of(f.log_sum_exp, r.log_sum_exp), 1e-6) << c.queries() << " " << c.keys();
  }
}

TEST(Attention, LargeScoresDoNotOverflow) {
  const Case c = square(shape_of(1, 1, 8), {0, 200});
  const Inputs in = inputs_of(c, 40.0F);  // scores to +-3000
  const Forward f = forward(c, in, Stream{});
  const Reference r = reference(c, as_double(in.q), as_double(in.k), as_double(in.v));
  EXPECT_LT(error_of(f.out, r.out), 3e-4);  // 3000 units of 6e-8
}

TEST(Attention, SegmentsDoNotSeeEachOther) {
  const AttentionShape shape = shape_of(2, 1, 16);
  const Case packed = square(shape, {0, 150, 210});
  const Inputs in = inputs_of(packed);
  const Forward together = forward(packed, in, Stream{});
  const Case second = square(shape, {0, 60});
  const auto tail = [](const std::vector<float>& x, std::int64_t from) { return std::vector<float>(x.begin() + from, x.end()); };
  const Inputs alone = {tail(in.q, 150 * 32), tail(in.k, 150 * 16), tail(in.v, 150 * 16)};
  EXPECT_TRUE(same_bits(tail(together.out, 150 * 32), forward(second, alone, Stream{}).out));
}

TEST(Attention, ACacheMayHaveRoomToSpare) {
  const Case c = {shape_of(2, 1, 8), {0, 1}, {0, 5}};
  const Inputs in = inputs_of(c);
  Inputs roomy = in;
  roomy.k.resize(in.k.size() + 80, std::numeric_limits<float>::quiet_NaN());
  roomy.v.resize(in.v.size() + 80, std::numeric_limits<float>::quiet_NaN());
  std::vector<float> out(16);
  std::vector<float> log_sum_exp(2);
  attention({.q = view(roomy.q.data(), {1, 16}),
             .k = view(roomy.k.data(), {15, 8}),
             .v = view(roomy.v.data(), {15, 8}),
             .cu_seqlens_q = vector_view(c.cu_seqlens_q),
             .cu_seqlens_k = vector_view(c.cu_seqlens_k),
             .shape = c.shape,
             .out = view(out.data(), {1, 16}),
             .log_sum_exp = view(log_sum_exp.data(), {1, 2})},
            Stream{});
  EXPECT_TRUE(same_bits(out, forward(c, in, Stream{}).out));
}

TEST(Attention, BackwardEqualsFiniteDifferences) {
  for (const Case& c : {square(shape_of(1, 1, 8), {0, 1}), square(shape_of(4, 2, 4), {0, 1, 6, 6, 9}),
                        square(shape_of(2, 1, 8), {0, 5, 12}), with_window(square(shape_of(4, 2, 4), {0, 1, 6, 6, 9}), 2),
                        with_soft_cap(square(shape_of(4, 2, 4), {0, 1, 6, 6, 9}), 2.0F)}) {
    const Inputs in = inputs_of(c);
    const std::vector<float> dout = random_floats(static_cast<std::int64_t>(in.q.size()), 4);
    const Gradients d = backward(c, in, forward(c, in, Stream{}), dout, Stream{});
    const std::vector<double> q = as_double(in.q);
    const std::vector<double> k = as_double(in.k);
    const std::vector<double> v = as_double(in.v);
    const auto by_q = [&](const std::vector<double>& x) { return dot(reference(c, x, k, v).out, as_double(dout)); };
    const auto by_k = [&](const std::vector<double>& x) { return dot(reference(c, q, x, v).out, as_double(dout)); };
    const auto by_v = [&](const std::vector<double>& x) { return dot(reference(c, q, k, x).out, as_double(dout)); };
    if (c.queries() > 1) {  // over one key the probability is 1, and its gradient 0
      EXPECT_LT(error_of(d.q, finite_difference(by_q, q)), 5e-6);
      EXPECT_LT(error_of(d.k, finite_difference(by_k, k)), 5e-6);
    }
    EXPECT_LT(error_of(d.v, finite_difference(by_v, v)), 5e-6);
  }
}

struct ReferenceGradients {
  std::vector<double> q;
  std::vector<double> k;
  std::vector<double> v;
};

// The formulas of the softmax's gradient, whole matrices at once: for shapes too large for finite differences.
ReferenceGradients reference_backward(const Case& c, const Inputs& in, const std::vector<float>& dout) {
  ReferenceGradients d = {std::vector<double>(in.q.size()), std::vector<double>(in.k.size()), std::vector<double>(in.v.size())};
  const Reference r = reference(c, as_double(in.q), as_double(in.k), as_double(in.v));
  const std::int64_t dim = c.shape.head_dim;
  for (std::size_t s = 0; s + 1 < c.cu_seqlens_q.size(); ++s) {
    for (std::int64_t query = c.cu_seqlens_q[s]; query < c.cu_seqlens_q[s + 1]; ++query) {
      for (std::int64_t h = 0; h < c.shape.heads; ++h) {
        const std::int64_t q0 = query * c.q_width() + h * dim;
        double delta = 0.0;
        for (std::int64_t e = 0; e < dim; ++e) {
          delta += dout[static_cast<std::size_t>(q0 + e)] * r.out[static_cast<std::size_t>(q0 + e)];
        }
        const std::int64_t oldest = c.shape.window > 0 ? query - c.shape.window + 1 : 0;
        for (std::int64_t key = std::max<std::int64_t>(c.cu_seqlens_q[s], oldest); key <= query; ++key) {
          const std::int64_t k0 = key * c.kv_width() + h / (c.shape.heads / c.shape.kv_heads) * dim;
          double score = 0.0;
          double dp = 0.0;
          for (std::int64_t e = 0; e < dim; ++e) {
            score += static_cast<double>(in.q[static_cast<std::size_t>(q0 + e)]) * in.k[static_cast<std::size_t>(k0 + e)] *
                     c.shape.scale;
            dp += static_cast<double>(dout[static_cast<std::size_t>(q0 + e)]) * in.v[static_cast<std::size_t>(k0 + e)];
          }
          score = capped(score, c.shape);
          const double bend = c.shape.soft_cap > 0.0F ? score / static_cast<double>(c.shape.soft_cap) : 0.0;
          const double p = std::exp(score - r.log_sum_exp[static_cast<std::size_t>(query * c.shape.heads + h)]);
          const double ds = p * (dp - delta) * (1.0 - bend * bend) * c.shape.scale;
          for (std::int64_t e = 0; e < dim; ++e) {
            d.q[static_cast<std::size_t>(q0 + e)] += ds * in.k[static_cast<std::size_t>(k0 + e)];
            d.k[static_cast<std::size_t>(k0 + e)] += ds * in.q[static_cast<std::size_t>(q0 + e)];
            d.v[static_cast<std::size_t>(k0 + e)] += p * dout[static_cast<std::size_t>(q0 + e)];
          }
        }
      }
    }
  }
  return d;
}

TEST(Attention, BackwardEqualsDoubleAcrossTiles) {
  std::vector<Case> all = kSquare;
  const std::vector<Case> windowed = windowed_squares();
  all.insert(all.end(), windowed.begin(), windowed.end());
  const std::vector<Case> soft_capped = capped_squares();
  all.insert(all.end(), soft_capped.begin(), soft_capped.end());
  for (const Case& c : all) {
    const Inputs in = inputs_of(c);
    const std::vector<float> dout = random_floats(static_cast<std::int64_t>(in.q.size()), 4);
    const Gradients d = backward(c, in, forward(c, in, Stream{}), dout, Stream{});
    const ReferenceGradients r = reference_backward(c, in, dout);
    if (c.queries() > 1 && c.shape.window != 1) {
      EXPECT_LT(error_of(d.q, r.q), 5e-6) << c.queries() << " " << c.shape.window;
      EXPECT_LT(error_of(d.k, r.k), 5e-6) << c.queries() << " " << c.shape.window;
    } else {  // over one key the probability is 1, so these gradients, differences of two dot products, are rounding errors
      EXPECT_LT(
          error_of(join({d.q, d.k}), std::vector<double>(d.q.size() + d.k.size(), 0.0)) * std::numeric_limits<double>::min(),
          5e-6);
    }
    EXPECT_LT(error_of(d.v, r.v), 5e-6) << c.queries();
  }
}

// A key outside the window has no effect, even if NaN: tiles outside the window are not read.
TEST(Attention, KeysBehindTheWindowAreNotRead) {
  const Case c = with_window(square(shape_of(2, 1, 8), {0, 400}), 100);
  const Inputs in = inputs_of(c);
  Inputs spoiled = in;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::fill_n(spoiled.k.begin(), 128 * 8, nan);
  std::fill_n(spoiled.v.begin(), 128 * 8, nan);
  const Forward f = forward(c, in, Stream{});
  const Forward g = forward(c, spoiled, Stream{});
  const auto tail = [](const std::vector<float>& x) { return std::vector<float>(x.begin() + 256 * 16, x.end()); };
  EXPECT_TRUE(same_bits(tail(f.out), tail(g.out)));  // queries from 256 on attend to keys from 157 on
  const Gradients d = backward(c, in, f, in.q, Stream{});
  const Gradients e = backward(c, spoiled, f, in.q, Stream{});
  EXPECT_TRUE(same_bits(tail(d.q), tail(e.q)));
}

TEST(Attention, AWindowOfAllKeysChangesNoBit) {
  const Case c = square(shape_of(4, 2, 16), {0, 127, 255, 384, 513});
  const Inputs in = inputs_of(c);
  const auto all_of = [&](const Case& with) {
    const Forward f = forward(with, in, Stream{});
    const Gradients d = backward(with, in, f, in.q, Stream{});
    return join({f.out, f.log_sum_exp, d.q, d.k, d.v});
  };
  EXPECT_TRUE(same_bits(all_of(c), all_of(with_window(c, 129))));
}

TEST(Attention, SameBitsOnAnyThreads) {
  for (const Case& c : windowed_squares()) {
    const Inputs in = inputs_of(c);
    expect_same_bits_on_any_threads([&](const Stream& stream) {
      const Forward f = forward(c, in, stream);
      const Gradients d = backward(c, in, f, in.q, stream);
      return join({f.out, f.log_sum_exp, d.q, d.k, d.v});
    });
  }
  for (const Case& c : kSquare) {
    const Inputs in = inputs_of(c);
    expect_same_bits_on_any_threads([&](const Stream& stream) {
      const Forward f = forward(c, in, stream);
      const Gradients d = backward(c, in, f, in.q, stream);
      return join({f.out, f.log_sum_exp, d.q, d.k, d.v});
    });
  }
  for (const Case& c : kCached) {
    const Inputs in = inputs_of(c);
    expect_same_bits_on_any_threads([&](const Stream& stream) { return forward(c, in, stream).out; });
  }
}

TEST(Attention, NanGoesThrough) {
  const Case c = square(shape_of(1, 1, 8), {0, 20});
  Inputs in = inputs_of(c);
  in.k[10 * 8] = std::numeric_limits<float>::quiet_NaN();
  const Forward f = forward(c, in, Stream{});
  EXPECT_FALSE(std::isnan(f.out[9 * 8]));
  EXPECT_TRUE(std::isnan(f.out[10 * 8]));
}

TEST(Attention, RefusesWhatTheContractExcludes) {
  const Case good = square(shape_of(2, 1, 8), {0, 2, 4});
  const Inputs in = inputs_of(good);
  const auto call = [&](AttentionShape shape, std::vector<std::int32_t> cu_seqlens_q, std::vector<std::int32_t> cu_seqlens_k,
                        Shape q, Shape kv) {
    std::vector<float> out(in.q.size());
    std::vector<float> log_sum_exp(8);
    attention({.q = view(in.q.data(), q),
               .k = view(in.k.data(), kv),
               .v = view(in.v.data(), kv),
               .cu_seqlens_q = vector_view(cu_seqlens_q),
               .cu_seqlens_k = vector_view(cu_seqlens_k),
               .shape = shape,
               .out = view(out.data(), q),
               .log_sum_exp = view(log_sum_exp.data(), {q[0], shape.heads})},
              Stream{});
  };
  const AttentionShape shape = good.shape;
  EXPECT_NO_THROW(call(shape, {0, 2, 4}, {0, 2, 4}, {4, 16}, {4, 8}));
  EXPECT_THROW(call(shape_of(2, 0, 8), {0, 2, 4}, {0, 2, 4}, {4, 16}, {4, 8}), KernelError);
  EXPECT_THROW(call(with_window(good, -1).shape, {0, 2, 4}, {0, 2, 4}, {4, 16}, {4, 8}), KernelError);
  EXPECT_THROW(call(shape_of(3, 2, 8), {0, 2, 4}, {0, 2, 4}, {4, 16}, {4, 8}), KernelError);
  EXPECT_THROW(call(shape, {0, 2, 4}, {0, 2, 4}, {4, 15}, {4, 8}), KernelError);
  EXPECT_THROW(call(shape, {0, 2, 4}, {0, 2, 4}, {4, 16}, {4, 7}), KernelError);
  EXPECT_THROW(call(shape, {0, 2, 3}, {0, 2, 4}, {4, 16}, {4, 8}), KernelError);  // a query outside every segment
  EXPECT_THROW(call(shape, {0, 5, 4}, {0, 5, 4}, {4, 16}, {4, 8}), KernelError);  // decreasing offsets
  EXPECT_THROW(call(shape, {0, 2, 4}, {0, 2, 5}, {4, 16}, {4, 8}), KernelError);  // missing keys
  EXPECT_THROW(call(shape, {0, 2, 4}, {0, 1, 4}, {4, 16}, {4, 8}), KernelError);  // fewer keys than queries
  EXPECT_THROW(call(shape, {0, 4}, {0, 2, 4}, {4, 16}, {4, 8}), KernelError);     // another number of segments
}

}  // namespace
}  // namespace lora_dist::attention_test

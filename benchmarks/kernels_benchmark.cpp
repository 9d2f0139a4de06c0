// One row per kernel and shape, with time and FLOP/s or bytes/s. The shapes are those of a training step of a Llama with hidden
// 512, 8 heads, 4 key heads, intermediate 1376, vocabulary 8192, batch 4 x 256 and LoRA of rank 16.
// The last argument of every row is the number of threads.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/activation/activation.h"
#include "kernels/adamw/adamw.h"
#include "kernels/attention/attention.h"
#include "kernels/common/parallel.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/dropout/dropout.h"
#include "kernels/fixed_point/fixed_point.h"
#include "kernels/matmul/matmul.h"
#include "kernels/quantize/quantize_4bit.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"

namespace lora_dist {
namespace {

constexpr std::int64_t kTokens = 1024;

std::vector<float> numbers(std::int64_t n) {
  std::vector<float> values(static_cast<std::size_t>(n));
  std::uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525U + 1013904223U;
    value = static_cast<float>(state >> 8) * 0x1p-23F - 1.0F;
  }
  return values;
}

Stream stream_of(const benchmark::State& state, int argument) { return {.threads = static_cast<int>(state.range(argument))}; }

void report_flops(benchmark::State& state, double flops) {
  state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

// The least bytes read from and written to memory.
void report_bytes(benchmark::State& state, double bytes) {
  state.counters["bytes/s"] =
      benchmark::Counter(bytes, benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1024);
}

void report_elements(benchmark::State& state, double elements) {
  state.counters["elements/s"] = benchmark::Counter(elements, benchmark::Counter::kIsIterationInvariantRate);
}

void multiply(benchmark::State& state, Transpose op_a, Transpose op_b) {
  const std::int64_t m = state.range(0);
  const std::int64_t n = state.range(1);
  const std::int64_t k = state.range(2);
  const std::vector<float> a = numbers(m * k);
  const std::vector<float> b = numbers(n * k);
  std::vector<float> c(static_cast<std::size_t>(m * n));
  const ConstTensorView a_view = view(a.data(), op_a == Transpose::yes ? Shape{k, m} : Shape{m, k});
  const ConstTensorView b_view = view(b.data(), op_b == Transpose::yes ? Shape{n, k} : Shape{k, n});
  for (auto _ : state) {
    matmul({.a = a_view, .op_a = op_a, .b = b_view, .op_b = op_b, .c = view(c.data(), {m, n})}, stream_of(state, 3));
    benchmark::DoNotOptimize(c.data());
  }
  report_flops(state, 2.0 * static_cast<double>(m * n * k));
}

void linear_forward(benchmark::State& state) { multiply(state, Transpose::no, Transpose::yes); }
void linear_backward(benchmark::State& state) { multiply(state, Transpose::no, Transpose::no); }
void lora_gradient(benchmark::State& state) { multiply(state, Transpose::yes, Transpose::no); }

struct Attention {
  AttentionShape shape = {8, 4, 64, 0.125F};
  std::vector<std::int32_t> cu_seqlens_q;
  std::vector<std::int32_t> cu_seqlens_k;
  std::vector<float> q, k, v, out, log_sum_exp, dq, dk, dv;

  Attention(std::int64_t segments, std::int64_t queries, std::int64_t keys) {
    for (std::int64_t s = 0; s <= segments; ++s) {
      cu_seqlens_q.push_back(static_cast<std::int32_t>(s * queries));
      cu_seqlens_k.push_back(static_cast<std::int32_t>(s * keys));
    }
    q = out = dq = numbers(cu_seqlens_q.back() * 512);
    k = v = dk = dv = numbers(cu_seqlens_k.back() * 256);
    log_sum_exp = numbers(cu_seqlens_q.back() * 8);
  }

  Shape q_shape() const { return {cu_seqlens_q.back(), 512}; }
  Shape kv_shape() const { return {cu_seqlens_k.back(), 256}; }
  ConstTensorView starts_view(const std::vector<std::int32_t>& starts) const {
    return view(starts.data(), {static_cast<std::int64_t>(starts.size())});
  }

  void forward(const Stream& stream) {
    attention({.q = view(q.data(), q_shape()),
               .k = view(k.data(), kv_shape()),
               .v = view(v.data(), kv_shape()),
               .cu_seqlens_q = starts_view(cu_seqlens_q),
               .cu_seqlens_k = starts_view(cu_seqlens_k),
               .shape = shape,
               .out = view(out.data(), q_shape()),
               .log_sum_exp = view(log_sum_exp.data(), {cu_seqlens_q.back(), 8})},
              stream);
  }

  void backward(const Stream& stream) {
    attention_backward({.dout = view(q.data(), q_shape()),
                        .q = view(q.data(), q_shape()),
                        .k = view(k.data(), kv_shape()),
                        .v = view(v.data(), kv_shape()),
                        .out = view(out.data(), q_shape()),
                        .log_sum_exp = view(log_sum_exp.data(), {cu_seqlens_q.back(), 8}),
                        .starts = starts_view(cu_seqlens_q),
                        .shape = shape,
                        .dq = view(dq.data(), q_shape()),
                        .dk = view(dk.data(), kv_shape()),
                        .dv = view(dv.data(), kv_shape())},
                       stream);
  }
};

void attention_forward(benchmark::State& state) {
  Attention problem(state.range(0), state.range(1), state.range(2));
  for (auto _ : state) {
    problem.forward(stream_of(state, 3));
  }
  // Two products of every query with every key, half of which the diagonal leaves out where there are as many of both.
  const double pairs =
      static_cast<double>(state.range(0) * state.range(1) * state.range(2)) * (state.range(1) == state.range(2) ? 0.5 : 1.0);
  report_flops(state, 4.0 * 512.0 * pairs);
}

void attention_gradient(benchmark::State& state) {
  Attention problem(state.range(0), state.range(1), state.range(1));
  problem.forward(stream_of(state, 2));
  for (auto _ : state) {
    problem.backward(stream_of(state, 2));
  }
  report_flops(state, 10.0 * 512.0 * 0.5 * static_cast<double>(state.range(0) * state.range(1) * state.range(1)));
}

void nf4_dequantize_weight(benchmark::State& state) {
  const std::int64_t n = state.range(0) * state.range(1);
  const std::vector<float> values = numbers(n);
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(n / 2));
  std::vector<float> absmax(static_cast<std::size_t>(n / 64));
  std::vector<float> out(static_cast<std::size_t>(n));
  quantize_4bit(view(values.data(), {n}), 64, view(codes.data(), {n / 2}), view(absmax.data(), {n / 64}), FourBit::nf4, Stream{});
  const std::vector<std::uint8_t>& sealed_codes = codes;
  const std::vector<float>& sealed_absmax = absmax;
  for (auto _ : state) {
    dequantize_4bit({.codes = view(sealed_codes.data(), {n / 2}),
                     .absmax = view(sealed_absmax.data(), {n / 64}),
                     .block_size = 64,
                     .code = FourBit::nf4},
                    view(out.data(), {n}), stream_of(state, 2));
    benchmark::DoNotOptimize(out.data());
  }
  report_elements(state, static_cast<double>(n));
}

void nf4_quantize_weight(benchmark::State& state) {
  const std::int64_t n = state.range(0) * state.range(1);
  const std::vector<float> values = numbers(n);
  std::vector<std::uint8_t> codes(static_cast<std::size_t>(n / 2));
  std::vector<float> absmax(static_cast<std::size_t>(n / 64));
  for (auto _ : state) {
    quantize_4bit(view(values.data(), {n}), 64, view(codes.data(), {n / 2}), view(absmax.data(), {n / 64}), FourBit::nf4,
                  stream_of(state, 2));
    benchmark::DoNotOptimize(codes.data());
  }
  report_elements(state, static_cast<double>(n));
}

void cross_entropy_rows(benchmark::State& state) {
  const std::int64_t vocab = state.range(1);
  std::vector<float> logits = numbers(state.range(0) * vocab);
  const std::vector<std::int32_t> targets(static_cast<std::size_t>(state.range(0)), 3);
  std::vector<float> loss(targets.size());
  for (auto _ : state) {
    cross_entropy(view(logits.data(), {state.range(0), vocab}), view(targets.data(), {state.range(0)}), {},
                  view(loss.data(), {state.range(0)}), view(logits.data(), {state.range(0), vocab}), stream_of(state, 2));
    benchmark::DoNotOptimize(loss.data());
  }
  report_bytes(state, 8.0 * static_cast<double>(state.range(0) * vocab));
}

void dropout_rows(benchmark::State& state) {
  const std::int64_t width = state.range(0);
  const std::vector<float> x = numbers(kTokens * width);
  std::vector<float> y(x.size());
  const std::vector<std::int32_t> tokens(kTokens, 1);
  for (auto _ : state) {
    dropout(view(x.data(), {kTokens, width}), view(tokens.data(), {kTokens}), view(tokens.data(), {kTokens}), 0.05F, {.seed = 1},
            view(y.data(), {kTokens, width}), stream_of(state, 1));
    benchmark::DoNotOptimize(y.data());
  }
  report_elements(state, static_cast<double>(x.size()));
}

void swiglu_forward(benchmark::State& state) {
  const std::vector<float> gate = numbers(kTokens * 1376);
  std::vector<float> out(gate.size());
  const Shape shape = {kTokens, 1376};
  for (auto _ : state) {
    activate_gated(view(gate.data(), shape), view(gate.data(), shape), Activation::silu, view(out.data(), shape),
                   stream_of(state, 0));
    benchmark::DoNotOptimize(out.data());
  }
  report_bytes(state, 12.0 * static_cast<double>(gate.size()));
}

void swiglu_gradient(benchmark::State& state) {
  const std::vector<float> gate = numbers(kTokens * 1376);
  std::vector<float> dgate(gate.size());
  std::vector<float> dup(gate.size());
  const Shape shape = {kTokens, 1376};
  for (auto _ : state) {
    activate_gated_backward(view(gate.data(), shape), view(gate.data(), shape), view(gate.data(), shape), Activation::silu,
                            view(dgate.data(), shape), view(dup.data(), shape), stream_of(state, 0));
    benchmark::DoNotOptimize(dup.data());
  }
  report_bytes(state, 20.0 * static_cast<double>(gate.size()));
}

struct Norm {
  std::vector<float> x = numbers(kTokens * 512);
  std::vector<float> weight = numbers(512);
  std::vector<float> y = numbers(kTokens * 512);
  std::vector<float> rstd = numbers(kTokens);
};

void rms_norm_forward(benchmark::State& state) {
  Norm n;
  for (auto _ : state) {
    rms_norm(view(n.x.data(), {kTokens, 512}), view(n.weight.data(), {512}), 1e-5F, view(n.y.data(), {kTokens, 512}),
             view(n.rstd.data(), {kTokens}), stream_of(state, 0));
  }
  report_bytes(state, 8.0 * static_cast<double>(n.x.size()));
}

void rms_norm_gradient(benchmark::State& state) {
  Norm n;
  for (auto _ : state) {
    rms_norm_backward(view(n.x.data(), {kTokens, 512}), view(n.x.data(), {kTokens, 512}), view(n.weight.data(), {512}),
                      view(n.rstd.data(), {kTokens}), view(n.y.data(), {kTokens, 512}), stream_of(state, 0));
  }
  report_bytes(state, 16.0 * static_cast<double>(n.x.size()));
}

void rope_rows(benchmark::State& state) {
  std::vector<float> x = numbers(kTokens * 512);
  std::vector<float> table(256 * 64);
  for (std::size_t i = 0; i < table.size(); ++i) {
    table[i] = i % 64 < 32 ? 0.6F : 0.8F;  // a rotation keeps x at its size, call after call
  }
  const std::vector<std::int32_t> positions(kTokens, 100);
  for (auto _ : state) {
    rope(view(x.data(), {kTokens, 512}), view(positions.data(), {kTokens}), view(std::as_const(table).data(), {256, 64}), {64},
         RopeDirection::forward, stream_of(state, 0));
  }
  report_bytes(state, 8.0 * static_cast<double>(x.size()));
}

void adamw_update(benchmark::State& state) {
  constexpr std::int64_t kParameters = 1 << 20;
  std::vector<float> p = numbers(kParameters);
  const std::vector<float> g = p;
  std::vector<float> m(p.size());
  std::vector<float> v(p.size());
  for (auto _ : state) {
    adamw(view(p.data(), {kParameters}), view(g.data(), {kParameters}), view(m.data(), {kParameters}),
          view(v.data(), {kParameters}), {.learning_rate = 1e-6}, stream_of(state, 0));
  }
  report_bytes(state, 28.0 * kParameters);
}

void fixed_point_sum(benchmark::State& state) {
  constexpr std::int64_t kParameters = 1 << 20;
  const std::vector<float> g = numbers(kParameters);
  std::vector<std::int64_t> sums(g.size());
  for (auto _ : state) {
    benchmark::DoNotOptimize(fixed_point_add(view(g.data(), {kParameters}), 1.0F, view(sums.data(), {kParameters}),
                                             kFixedPointLimit, stream_of(state, 0)));
    sums.assign(sums.size(), 0);
  }
  report_elements(state, kParameters);
}

constexpr std::int64_t kHidden = 512;
constexpr std::int64_t kInner = 1376;
constexpr std::int64_t kRank = 16;

BENCHMARK(linear_forward)
    ->ArgsProduct({{kTokens}, {256, kHidden, kInner, 8192, kRank}, {kHidden}, {1, 2}})
    ->Args({kTokens, kHidden, kInner, 1})
    ->Args({kTokens, kHidden, kInner, 2})
    ->Args({kTokens, kHidden, kRank, 1})
    ->Args({kTokens, kHidden, kRank, 2})
    ->Args({1, kHidden, kHidden, 1})
    ->Args({1, 8192, kHidden, 1})
    ->UseRealTime();
BENCHMARK(linear_backward)->ArgsProduct({{kTokens}, {kHidden}, {kRank, kHidden, kInner, 8192}, {1, 2}})->UseRealTime();
BENCHMARK(lora_gradient)
    ->ArgsProduct({{kRank}, {kHidden, kInner}, {kTokens}, {1, 2}})
    ->Args({kHidden, kRank, kTokens, 1})
    ->Args({kHidden, kRank, kTokens, 2})
    ->UseRealTime();
BENCHMARK(attention_forward)
    ->Args({4, 256, 256, 1})
    ->Args({4, 256, 256, 2})
    ->Args({1, 1024, 1024, 2})
    ->Args({1, 1, 1000, 1})
    ->UseRealTime();
BENCHMARK(attention_gradient)->Args({4, 256, 1})->Args({4, 256, 2})->Args({1, 1024, 2})->UseRealTime();
BENCHMARK(nf4_dequantize_weight)
    ->Args({kHidden, kHidden, 1})
    ->Args({kInner, kHidden, 1})
    ->Args({kInner, kHidden, 2})
    ->UseRealTime();
BENCHMARK(nf4_quantize_weight)->Args({kInner, kHidden, 1})->Args({kInner, kHidden, 2})->UseRealTime();
BENCHMARK(cross_entropy_rows)->Args({kTokens, 8192, 1})->Args({kTokens, 8192, 2})->UseRealTime();
BENCHMARK(dropout_rows)->Args({kHidden, 1})->Args({kHidden, 2})->Args({kInner, 2})->UseRealTime();
BENCHMARK(swiglu_forward)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(swiglu_gradient)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(rms_norm_forward)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(rms_norm_gradient)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(rope_rows)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(adamw_update)->Arg(1)->Arg(2)->UseRealTime();
BENCHMARK(fixed_point_sum)->Arg(1)->Arg(2)->UseRealTime();

}  // namespace
}  // namespace lora_dist

int main(int argc, char** argv) {
  lora_dist::set_library_threads();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

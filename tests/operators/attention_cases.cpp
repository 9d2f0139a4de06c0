// Attention over whole segments and against a cache, with windows and without.
#include "tests/operators/attention_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/attention/attention.h"
#include "tests/operators/build_case.h"

namespace lora_dist::operators {

namespace {

using Views = std::span<const TensorView>;
using Cases = std::vector<OperatorCase>;

}  // namespace

void add_attention(Cases& cases, const std::vector<Attended>& shapes) {
  for (const Attended& a : shapes) {
    const std::int64_t n = a.starts.back();
    const std::string shape =
        fmt::format("tokens {}, segments {}, heads {} ({} kv), head_dim {}{}{}", n, a.starts.size() - 1, a.heads, a.kv_heads,
                    a.head_dim, a.window > 0 ? fmt::format(", window {}", a.window) : "",
                    a.soft_cap > 0.0F ? fmt::format(", soft cap {}", a.soft_cap) : "");
    AttentionShape attention_shape{a.heads, a.kv_heads, a.head_dim, 1.0F / std::sqrt(static_cast<float>(a.head_dim))};
    attention_shape.window = a.window;
    attention_shape.soft_cap = a.soft_cap;
    double pairs = 0.0;
    for (std::size_t i = 0; i + 1 < a.starts.size(); ++i) {
      const std::int64_t length = a.starts[i + 1] - a.starts[i];
      attention_shape.longest = std::max(attention_shape.longest, static_cast<int>(length));
      const std::int64_t hidden = a.window > 0 ? std::max<std::int64_t>(length - a.window, 0) : 0;
      pairs += 0.5 * static_cast<double>(length * (length + 1) - hidden * (hidden + 1));
    }
    const double flops = 4.0 * pairs * a.heads * a.head_dim;
    const Shape q{n, a.heads * a.head_dim};
    const Shape kv{n, a.kv_heads * a.head_dim};
    const Operand starts = given(Kind::i32, a.starts);
    cases.push_back({"attention",
                     shape,
                     {activation(q, 1), activation(kv, 2), activation(kv, 3), starts, written(Kind::activation, q),
                      written(Kind::f32, {n, a.heads})},
                     [=](Views v, const Stream& s) {
                       attention({.q = v[0],
                                  .k = v[1],
                                  .v = v[2],
                                  .cu_seqlens_q = v[3],
                                  .cu_seqlens_k = v[3],
                                  .shape = attention_shape,
                                  .out = v[4],
                                  .log_sum_exp = v[5]},
                                 s);
                     },
                     flops});
    cases.push_back({"attention and its backward",
                     shape,
                     {activation(q, 1), activation(kv, 2), activation(kv, 3), starts, written(Kind::activation, q),
                      written(Kind::f32, {n, a.heads}), activation(q, 4), written(Kind::activation, q),
                      written(Kind::activation, kv), written(Kind::activation, kv)},
                     [=](Views v, const Stream& s) {
                       attention({.q = v[0],
                                  .k = v[1],
                                  .v = v[2],
                                  .cu_seqlens_q = v[3],
                                  .cu_seqlens_k = v[3],
                                  .shape = attention_shape,
                                  .out = v[4],
                                  .log_sum_exp = v[5]},
                                 s);
                       attention_backward({.dout = v[6],
                                           .q = v[0],
                                           .k = v[1],
                                           .v = v[2],
                                           .out = v[4],
                                           .log_sum_exp = v[5],
                                           .starts = v[3],
                                           .shape = attention_shape,
                                           .dq = v[7],
                                           .dk = v[8],
                                           .dv = v[9]},
                                          s);
                     },
                     3.5 * flops,
                     1e-4});
  }
}

void add_cached_attention(Cases& cases, std::int64_t queries, std::int64_t keys, int window, float soft_cap) {
  const AttentionShape shape{4, 2, 16, 0.25F, static_cast<int>(queries), window, soft_cap};
  cases.push_back(
      {"attention to a cache",
       fmt::format("queries {}, keys {}, window {}, soft cap {}", queries, keys, window, soft_cap),
       {activation({queries, 64}, 1), activation({keys, 32}, 2), activation({keys, 32}, 3), given(Kind::i32, {0, queries}),
        given(Kind::i32, {0, keys}), written(Kind::activation, {queries, 64}), written(Kind::f32, {queries, 4})},
       [=](Views v, const Stream& s) {
         attention({.q = v[0],
                    .k = v[1],
                    .v = v[2],
                    .cu_seqlens_q = v[3],
                    .cu_seqlens_k = v[4],
                    .shape = shape,
                    .out = v[5],
                    .log_sum_exp = v[6]},
                   s);
       }});
}

}  // namespace lora_dist::operators

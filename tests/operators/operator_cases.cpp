// The list, operator by operator.
#include "tests/operators/operator_case.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "kernels/activation/activation.h"
#include "kernels/dropout/dropout.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/fused_parts/fused_parts.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/norm_gradient/norm_gradient.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rms_norm/rms_norm_shared.h"
#include "kernels/rope/rope.h"
#include "tests/operators/attention_cases.h"
#include "tests/operators/build_case.h"
#include "tests/operators/elementwise_cases.h"
#include "tests/operators/product_cases.h"

namespace lora_dist::operators {

namespace {

using Views = std::span<const TensorView>;
using Cases = std::vector<OperatorCase>;

void add_shared_norms(Cases& cases, const Rows& shapes) {
  for (const auto& [n, part] : shapes) {
    const std::string shape = fmt::format("tokens {}, {} of {} columns", n, part, 3 * part);
    const std::int64_t width = 3 * part;
    cases.push_back({"square_sums", shape, {activation({n, part}, 1), written(Kind::f32, {n})}, [](Views v, const Stream& s) {
                       square_sums(v[0], v[1], s);
                     }});
    cases.push_back({"rms_norm_shared",
                     shape,
                     {activation({n, part}, 1), f32({part}, 2), f32({n}, 3, 0.1, 2.0), written(Kind::activation, {n, part}),
                      written(Kind::f32, {n})},
                     [width](Views v, const Stream& s) {
                       rms_norm_shared(
                           {.x = v[0], .weight = v[1], .sums = v[2], .width = width, .eps = 1e-5F, .y = v[3], .rstd = v[4]}, s);
                     }});
    cases.push_back({"rms_norm_dots",
                     shape,
                     {activation({n, part}, 1), activation({n, part}, 2), f32({part}, 3), written(Kind::f32, {n})},
                     [](Views v, const Stream& s) { rms_norm_dots(v[0], v[1], v[2], v[3], s); }});
    cases.push_back({"rms_norm_shared_backward",
                     shape,
                     {activation({n, part}, 1), activation({n, part}, 2), f32({part}, 3), f32({n}, 4, 0.1, 1.0), f32({n}, 5),
                      written(Kind::activation, {n, part})},
                     [width](Views v, const Stream& s) {
                       rms_norm_shared_backward(
                           {.dy = v[0], .x = v[1], .weight = v[2], .rstd = v[3], .dots = v[4], .width = width, .dx = v[5]}, s);
                     }});
  }
}

void add_norms(Cases& cases, const Rows& shapes) {
  for (const auto& [n, width] : shapes) {
    const std::string shape = fmt::format("tokens {}, hidden {}", n, width);
    cases.push_back(
        {"rms_norm",
         shape,
         {activation({n, width}, 1), f32({width}, 2, 0.2, 1.0), written(Kind::activation, {n, width}), written(Kind::f32, {n})},
         [](Views v, const Stream& s) { rms_norm(v[0], v[1], 1e-5F, v[2], v[3], s); }});
    cases.push_back({"rms_norm_backward",
                     shape,
                     {activation({n, width}, 3), activation({n, width}, 4), f32({width}, 5, 0.2, 1.0), f32({n}, 6, 0.05, 1.0),
                      changed_activation({n, width}, 7)},
                     [](Views v, const Stream& s) { rms_norm_backward(v[0], v[1], v[2], v[3], v[4], s); }});
    cases.push_back({"layer_norm",
                     shape,
                     {random_operand(Kind::activation, Use::in, {n, width}, 8, 1.0, 2.0), f32({width}, 9, 0.2, 1.0),
                      f32({width}, 10), written(Kind::activation, {n, width}), written(Kind::f32, {n}), written(Kind::f32, {n})},
                     [](Views v, const Stream& s) {
                       layer_norm({.x = v[0], .weight = v[1], .bias = v[2], .eps = 1e-5F, .y = v[3], .mean = v[4], .rstd = v[5]},
                                  s);
                     }});
    cases.push_back({"layer_norm_backward",
                     shape,
                     {activation({n, width}, 11), activation({n, width}, 12), f32({width}, 13, 0.2, 1.0), f32({n}, 14, 0.1),
                      f32({n}, 15, 0.05, 1.0), changed_activation({n, width}, 16)},
                     [](Views v, const Stream& s) {
                       layer_norm_backward({.dy = v[0], .x = v[1], .weight = v[2], .mean = v[3], .rstd = v[4], .dx = v[5]}, s);
                     }});
    cases.push_back({"norm_gradient",
                     shape,
                     {activation({n, width}, 17), activation({n, width}, 18), f32({n}, 19, 0.1), f32({n}, 20, 0.05, 1.0),
                      random_operand(Kind::f32, Use::in_out, {width}, 24), random_operand(Kind::f32, Use::in_out, {width}, 25)},
                     [](Views v, const Stream& s) {
                       norm_gradient({.dy = v[0], .x = v[1], .mean = v[2], .rstd = v[3], .dweight = v[4], .dbias = v[5]}, s);
                     }});
    cases.push_back({"norm_gradient of rms",
                     shape,
                     {activation({n, width}, 21), activation({n, width}, 22), f32({n}, 23, 0.05, 1.0),
                      random_operand(Kind::f32, Use::in_out, {width}, 26)},
                     [](Views v, const Stream& s) {
                       norm_gradient({.dy = v[0], .x = v[1], .mean = {}, .rstd = v[2], .dweight = v[3], .dbias = {}}, s);
                     }});
  }
}

void add_mlp_activations(Cases& cases, const std::string& shape, std::int64_t n, std::int64_t width) {
  constexpr std::array<std::pair<Activation, const char*>, 5> kActivations = {{{Activation::silu, " silu"},
                                                                               {Activation::gelu_tanh, " gelu_tanh"},
                                                                               {Activation::gelu_erf, " gelu_erf"},
                                                                               {Activation::relu_squared, " relu_squared"},
                                                                               {Activation::relu, " relu"}}};
  for (const auto& [act, name] : kActivations) {
    cases.push_back({std::string("activate") + name,
                     shape,
                     {activation({n, width}, 1, 2.0), written(Kind::activation, {n, width})},
                     [act = act](Views v, const Stream& s) { activate(v[0], act, v[1], s); }});
    cases.push_back({std::string("activate_backward") + name,
                     shape,
                     {changed_activation({n, width}, 2), activation({n, width}, 3, 2.0)},
                     [act = act](Views v, const Stream& s) { activate_backward(v[0], v[1], act, v[0], s); }});
    cases.push_back({std::string("activate_gated") + name,
                     shape,
                     {activation({n, width}, 4, 2.0), activation({n, width}, 5), written(Kind::activation, {n, width})},
                     [act = act](Views v, const Stream& s) { activate_gated(v[0], v[1], act, v[2], s); }});
    cases.push_back({std::string("activate_gated_backward") + name,
                     shape,
                     {changed_activation({n, width}, 6), activation({n, width}, 7, 2.0), activation({n, width}, 8),
                      written(Kind::activation, {n, width})},
                     [act = act](Views v, const Stream& s) { activate_gated_backward(v[0], v[1], v[2], act, v[0], v[3], s); }});
  }
}

void add_activations(Cases& cases, const Rows& shapes) {
  for (const auto& [n, width] : shapes) {
    const std::string shape = fmt::format("tokens {}, intermediate {}", n, width);
    add_mlp_activations(cases, shape, n, width);
    const DropoutKey key{12345678901234ULL, 7, 3, 5};
    const DropoutKey cut{12345678901234ULL, 7, 3, 5, 67};
    cases.push_back({"dropout of a part",
                     shape,
                     {activation({n, width}, 6), whole(Kind::i32, {n}, 9, 7), whole(Kind::i32, {n}, 100, 8),
                      written(Kind::activation, {n, width})},
                     [cut](Views v, const Stream& s) { dropout(v[0], v[1], v[2], 0.3F, cut, v[3], s); }});
    cases.push_back({"dropout",
                     shape,
                     {activation({n, width}, 6), whole(Kind::i32, {n}, 9, 7), whole(Kind::i32, {n}, 100, 8),
                      written(Kind::activation, {n, width})},
                     [key](Views v, const Stream& s) { dropout(v[0], v[1], v[2], 0.3F, key, v[3], s); }});
    cases.push_back({"dropout_backward",
                     shape,
                     {activation({n, width}, 9), whole(Kind::i32, {n}, 9, 7), whole(Kind::i32, {n}, 100, 8),
                      changed_activation({n, width}, 10)},
                     [key](Views v, const Stream& s) { dropout_backward(v[0], v[1], v[2], 0.3F, key, v[3], s); }});
  }
}

void add_rope(Cases& cases, RopePairs pairs, const std::vector<std::array<std::int64_t, 4>>& shapes) {
  const char* const of_pairs = pairs == RopePairs::halves ? "" : " of neighbours";
  for (const auto& [n, heads, head_dim, rotary_dim] : shapes) {
    for (const RopeDirection direction : {RopeDirection::forward, RopeDirection::backward}) {
      cases.push_back(
          {fmt::format("rope{}{}", direction == RopeDirection::forward ? "" : " backward", of_pairs),
           fmt::format("tokens {}, heads {}, head_dim {}, rotary_dim {}", n, heads, head_dim, rotary_dim),
           {changed_activation({n, heads * head_dim}, 1), whole(Kind::i32, {n}, 64, 2), f32({64, rotary_dim}, 3, 0.5)},
           [direction, pairs, head_dim = head_dim](Views v, const Stream& s) {
             rope(v[0], v[1], v[2], {head_dim, pairs}, direction, s);
           }});
    }
  }
}

/// A number of tokens, groups in a row, and elements of each part in a group.
struct Fused {
  std::int64_t tokens;
  std::int64_t groups;
  std::vector<std::int64_t> spans;
};

template <class View>
FusedParts<View> parts_of(Views views) {
  FusedParts<View> parts{};
  std::copy(views.begin(), views.end(), parts.begin());
  return parts;
}

void add_fused_parts(Cases& cases, const std::vector<Fused>& shapes) {
  for (const Fused& c : shapes) {
    const std::string shape = fmt::format("tokens {}, {} groups of {} elements", c.tokens, c.groups, fmt::join(c.spans, ", "));
    const std::int64_t width = c.groups * std::accumulate(c.spans.begin(), c.spans.end(), std::int64_t{0});
    std::vector<Operand> split = {activation({c.tokens, width}, 1)};
    std::vector<Operand> joined;
    for (std::size_t i = 0; i < c.spans.size(); ++i) {
      const Shape part{c.tokens, c.groups * c.spans[i]};
      split.push_back(written(Kind::activation, part));
      joined.push_back(activation(part, 2 + static_cast<std::uint32_t>(i)));
    }
    joined.push_back(written(Kind::activation, {c.tokens, width}));
    const std::int64_t groups = c.groups;
    cases.push_back({"split_parts", shape, split,
                     [groups](Views v, const Stream& s) { split_parts(v[0], groups, parts_of<TensorView>(v.subspan(1)), s); }});
    cases.push_back({"join_parts", shape, joined, [groups](Views v, const Stream& s) {
                       join_parts(parts_of<ConstTensorView>(v.first(v.size() - 1)), groups, v.back(), s);
                     }});
  }
}

}  // namespace

std::vector<OperatorCase> operator_cases(Size size) {
  Cases cases;
  if (size == Size::test) {
    const Rows shapes = {{1, 1}, {5, 64}, {33, 100}, {7, 1032}};
    add_elementwise(cases, shapes);
    add_scales(cases, shapes);
    add_rows(cases, shapes);
    add_virtual_rows(cases, {{5, 64}, {33, 100}, {7, 1032}});
    add_flat(cases, {1, 63, 1000, 16448});
    add_parts(cases, {{1, 700, 0, 0},
                      {1, 129, 77, 0},
                      {9, 100, 32, 200},
                      {9, 37, 5, 101},
                      {3, 64, 64, 640},
                      {300, 128, 64, 256},
                      {5, 64, 1024, 512, 3, 128},
                      {4, 40, 405, 100, 2, 77}});
    add_norms(cases, shapes);
    add_shared_norms(cases, shapes);
    add_int8(cases, shapes);
    add_activations(cases, shapes);
    add_rope(cases, RopePairs::neighbours, {{5, 4, 16, 16}, {3, 1, 10, 10}, {5, 3, 80, 32}, {4, 2, 12, 6}});
    add_rope(cases, RopePairs::halves,
             {{5, 4, 16, 16}, {3, 1, 10, 10}, {2, 3, 128, 128}, {5, 3, 80, 32}, {4, 2, 12, 6}, {3, 2, 18, 16}});
    add_fused_parts(cases, {{1, 1, {1, 1, 1}},
                            {5, 4, {16, 16, 16}},
                            {3, 3, {10, 10, 10}},
                            {2, 1, {768, 256, 256}},
                            {3, 1, {20, 5, 5}},
                            {4, 1, {96, 96}},
                            {3, 1, {7, 7}}});
    add_loss(cases, {{3, 1}, {5, 257}, {2, 5000}});
    add_products(cases, {{1, 1, 1}, {7, 5, 3}, {33, 64, 40}, {65, 16, 70}});
    add_products_with_shifted_bias(cases, {{7, 5, 3}, {33, 64, 40}});
    add_attention(cases, {{1, 1, 8, {0, 1}}, {4, 2, 16, {0, 5, 38}}, {3, 1, 10, {0, 65, 66, 100}}, {2, 2, 128, {0, 70}}});
    add_attention(cases, {{4, 2, 16, {0, 5, 38}, 2},
                          {3, 1, 10, {0, 165, 166, 200}, 7},
                          {2, 1, 16, {0, 130}, 70},
                          {2, 2, 128, {0, 100}, 33},
                          {1, 1, 192, {0, 60}, 5},
                          {2, 1, 8, {0, 40}, 40}});
    add_cached_attention(cases, 1, 77);
    add_cached_attention(cases, 5, 70);
    add_cached_attention(cases, 1, 77, 5);
    add_cached_attention(cases, 5, 70, 33);
    add_cached_attention(cases, 70, 200, 40);
    add_attention(cases, {{4, 2, 16, {0, 5, 38}, 0, 1.5F}, {2, 1, 80, {0, 130, 170}, 70, 0.5F}});
    add_cached_attention(cases, 1, 77, 0, 1.5F);
    add_cached_attention(cases, 40, 77, 5, 1.5F);
  } else {
    add_elementwise(cases, {{4096, 4096}});
    add_rows(cases, {{4096, 4096}});
    add_virtual_rows(cases, {{4096, 4096}});
    add_flat(cases, {4096 * 14336});
    add_parts(cases, {{4096, 7168, 7168, 14336}, {4096, 7100, 36, 14336}});
    add_norms(cases, {{4096, 4096}});
    add_int8(cases, {{4096, 14336}});
    add_activations(cases, {{4096, 14336}});
    add_rope(cases, RopePairs::halves, {{4096, 32, 128, 128}});
    add_fused_parts(cases, {{4096, 32, {128, 128, 128}}, {4096, 1, {14336, 14336}}});
    add_loss(cases, {{512, 128256}});
    add_products(cases, {{4096, 4096, 4096}, {4096, 14336, 4096}, {4096, 16, 4096}, {4096, 4096, 16}});
    add_attention(cases, {{32, 8, 128, {0, 2048, 4096}}, {32, 8, 128, {0, 4096}, 1024}});
  }
  return cases;
}

}  // namespace lora_dist::operators

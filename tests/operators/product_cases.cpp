// Products, int8 weights and the loss.
#include "tests/operators/product_cases.h"

#include <fmt/format.h>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/elementwise/copy.h"
#include "kernels/matmul/matmul.h"
#include "kernels/quantize/quantize_int8.h"
#include "tests/operators/build_case.h"

namespace lora_dist::operators {

namespace {

using Views = std::span<const TensorView>;
using Cases = std::vector<OperatorCase>;

}  // namespace

void add_int8(Cases& cases, const Rows& shapes) {
  for (const auto& [n, width] : shapes) {
    const std::string shape = fmt::format("rows {}, width {}", n, width);
    cases.push_back({"quantize_int8",
                     shape,
                     {f32({n, width}, 1), written(Kind::i8, {n, width}), written(Kind::f32, {n})},
                     [](Views v, const Stream& s) { quantize_int8(v[0], v[1], v[2], s); }});
    cases.push_back({"dequantize_int8",
                     shape,
                     {whole(Kind::i8, {n, width}, 128, 2), f32({n}, 3, 0.1, 1.0), written(Kind::activation, {n, width})},
                     [](Views v, const Stream& s) { dequantize_int8(v[0], v[1], v[2], s); }});
  }
}

void add_loss(Cases& cases, const Rows& shapes) {
  for (const auto& [n, vocab] : shapes) {
    const std::string shape = fmt::format("tokens {}, vocabulary {}", n, vocab);
    Operand targets = whole(Kind::i32, {n}, vocab, 1);
    targets.values.back() = kNotTrained;
    const Operand logits = f32({n, vocab}, 2, 4.0);
    for (const LossGradient& of : {LossGradient{0.5F}, LossGradient{0.5F, 9.0F}}) {
      const std::string of_what = of.soft_cap > 0.0F ? " of capped logits" : "";
      cases.push_back({"cross_entropy" + of_what,
                       shape,
                       {logits, targets, written(Kind::f32, {n}), written(Kind::activation, {n, vocab})},
                       [of](Views v, const Stream& s) {
                         const bool in_place = v[3].dtype == DType::f32;  // the CPU knows no other way
                         cross_entropy(v[0], v[1], of, v[2], in_place ? v[0] : v[3], s);
                         if (in_place) {
                           copy(v[0], v[3], s);
                         }
                       }});
      cases.push_back({"cross_entropy_part" + of_what,
                       shape,
                       {logits, targets, f32({2 * n, kSoftmaxNumbers}, 3, 0.2, 5.0), written(Kind::f32, {n}),
                        written(Kind::activation, {n, vocab})},
                       [of](Views v, const Stream& s) {
                         const bool in_place = v[4].dtype == DType::f32;
                         cross_entropy_part({.logits = v[0],
                                             .targets = v[1],
                                             .first = 11,
                                             .numbers = v[2],
                                             .of = of,
                                             .loss = v[3],
                                             .gradient = in_place ? v[0] : v[4]},
                                            s);
                         if (in_place) {
                           copy(v[0], v[4], s);
                         }
                       }});
    }
    cases.push_back(
        {"softmax_numbers", shape, {logits, targets, written(Kind::f32, {n, kSoftmaxNumbers})}, [](Views v, const Stream& s) {
           softmax_numbers(v[0], v[1], 11, v[2], s);
         }});
    cases.push_back({"token_log_prob",
                     shape,
                     {logits, targets, written(Kind::f32, {n}), written(Kind::i32, {n})},
                     [](Views v, const Stream& s) { token_log_prob(v[0], v[1], v[2], v[3], s); }});
  }
}

void add_products(Cases& cases, const ProductShapes& shapes) {
  for (const auto& [m, n, k] : shapes) {
    const std::string shape = fmt::format("{} x {} x {}", m, n, k);
    const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
    cases.push_back({"matmul x W^T",
                     shape,
                     {activation({m, k}, 1), activation({n, k}, 2, 0.1), written(Kind::activation, {m, n})},
                     [](Views v, const Stream& s) { matmul({.a = v[0], .b = v[1], .op_b = Transpose::yes, .c = v[2]}, s); },
                     flops});
    cases.push_back({"matmul x W^T onto",
                     shape,
                     {activation({m, k}, 3), activation({n, k}, 4, 0.1), changed_activation({m, n}, 5)},
                     [](Views v, const Stream& s) {
                       matmul({.a = v[0], .b = v[1], .op_b = Transpose::yes, .alpha = 0.5F, .added = {.beta = 1.0F}, .c = v[2]},
                              s);
                     },
                     flops});
    cases.push_back({"matmul x W^T onto another, with bias",
                     shape,
                     {activation({m, k}, 10), activation({n, k}, 11, 0.1), activation({m, n}, 12), activation({n}, 13),
                      written(Kind::activation, {m, n})},
                     [](Views v, const Stream& s) {
                       matmul({.a = v[0],
                               .b = v[1],
                               .op_b = Transpose::yes,
                               .alpha = 0.5F,
                               .added = {.beta = 1.0F, .onto = v[2], .bias = v[3]},
                               .c = v[4]},
                              s);
                     },
                     flops});
    cases.push_back(
        {"matmul x W^T with bias",
         shape,
         {activation({m, k}, 14), activation({n, k}, 15, 0.1), activation({n}, 16), written(Kind::activation, {m, n})},
         [](Views v, const Stream& s) {
           matmul({.a = v[0], .b = v[1], .op_b = Transpose::yes, .added = {.bias = v[2]}, .c = v[3]}, s);
         },
         flops});
    cases.push_back({"matmul dy W",
                     shape,
                     {activation({m, k}, 6), activation({k, n}, 7, 0.1), written(Kind::activation, {m, n})},
                     [](Views v, const Stream& s) { matmul({.a = v[0], .b = v[1], .c = v[2]}, s); },
                     flops});
    cases.push_back(
        {"matmul dy^T x to f32",
         shape,
         {activation({k, m}, 8), activation({k, n}, 9), written(Kind::f32, {m, n})},
         [](Views v, const Stream& s) { matmul({.a = v[0], .op_a = Transpose::yes, .b = v[1], .alpha = 2.0F, .c = v[2]}, s); },
         flops});
  }
}

void add_products_with_shifted_bias(Cases& cases, const ProductShapes& shapes) {
  constexpr double kFourRoundings = 2e-5;
  for (const auto& [m, n, k] : shapes) {
    const auto call = [n = n](Views v, const Stream& s) {
      for (const std::size_t first : {std::size_t{0}, std::size_t{1}}) {
        const auto* bias = static_cast<const std::byte*>(v[2].data) + first * size_of(v[2].dtype);
        matmul(
            {.a = v[0], .b = v[1], .op_b = Transpose::yes, .added = {.beta = 1.0F, .bias = {bias, v[2].dtype, {n}}}, .c = v[3]},
            s);
      }
    };
    cases.push_back({"matmul x W^T onto with bias, shifted",
                     fmt::format("{} x {} x {}", m, n, k),
                     {activation({m, k}, 1), activation({n, k}, 2, 0.1), activation({n + 1}, 3), changed_activation({m, n}, 4)},
                     call,
                     0.0,
                     kFourRoundings});
  }
}

}  // namespace lora_dist::operators

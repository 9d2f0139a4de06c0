// The list, operator by operator.
#include "tests/operators/operator_case.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

#include "kernels/activation/activation.h"
#include "kernels/adamw/adamw.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/dropout/dropout.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/rows.h"
#include "kernels/elementwise/slice.h"
#include "kernels/embedding/embedding.h"
#include "kernels/fixed_point/fixed_point.h"
#include "kernels/fused_parts/fused_parts.h"
#include "kernels/layer_norm/layer_norm.h"
#include "kernels/matmul/matmul.h"
#include "kernels/quantize/quantize_4bit.h"
#include "kernels/quantize/quantize_absmax.h"
#include "kernels/quantize/quantize_int8.h"
#include "kernels/reduce/reduce.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rms_norm/rms_norm_shared.h"
#include "kernels/rope/rope.h"
#include "kernels/scale/scale.h"
#include "tests/operators/attention_cases.h"
#include "tests/operators/build_case.h"

namespace lora_dist::operators {

namespace {

using Views = std::span<const TensorView>;
using Cases = std::vector<OperatorCase>;
using Rows = std::vector<std::pair<std::int64_t, std::int64_t>>;  // (tokens, width)

void add_elementwise(Cases& cases, const Rows& shapes) {
  for (const auto& [n, width] : shapes) {
    const std::string shape = fmt::format("tokens {}, width {}", n, width);
    cases.push_back(
        {"copy", shape, {activation({n, width}, 1), written(Kind::activation, {n, width})}, [](Views v, const Stream& s) {
           copy(v[0], v[1], s);
         }});
    cases.push_back({"zero", shape, {written(Kind::activation, {n, width})}, [](Views v, const Stream& s) { zero(v[0], s); }});
    cases.push_back({"cast to the compute dtype",
                     shape,
                     {f32({n, width}, 2), written(Kind::activation, {n, width})},
                     [](Views v, const Stream& s) { cast(v[0], v[1], s); }});
    cases.push_back(
        {"cast to f32", shape, {activation({n, width}, 3), written(Kind::f32, {n, width})}, [](Views v, const Stream& s) {
           cast(v[0], v[1], s);
         }});
    cases.push_back(
        {"add_to", shape, {activation({n, width}, 4), changed_activation({n, width}, 5)}, [](Views v, const Stream& s) {
           add_to(v[0], v[1], s);
         }});
    cases.push_back(
        {"scale", shape, {changed_activation({n, width}, 8)}, [](Views v, const Stream& s) { scale(v[0], 0.37F, s); }});
    cases.push_back(
        {"soft_cap", shape, {changed_activation({n, width}, 9)}, [](Views v, const Stream& s) { soft_cap(v[0], 0.7F, s); }});
  }
}

void add_scales(Cases& cases, const Rows& shapes) {
  for (const auto& [n, width] : shapes) {
    const std::string shape = fmt::format("tokens {}, width {}", n, width);
    cases.push_back({"scale_rows",
                     shape,
                     {activation({n, width}, 1), f32({n}, 2), written(Kind::activation, {n, width})},
                     [](Views v, const Stream& s) { scale_rows(v[0], v[1], v[2], s); }});
    cases.push_back({"scale_columns",
                     shape,
                     {activation({n, width}, 1), f32({width}, 2), written(Kind::activation, {n, width})},
                     [](Views v, const Stream& s) { scale_columns(v[0], v[1], {}, v[2], s); }});
    cases.push_back({"scale_columns, onto and bias",
                     shape,
                     {activation({n, width}, 1), f32({width}, 2), activation({width}, 3), changed_activation({n, width}, 4)},
                     [](Views v, const Stream& s) {
                       scale_columns(v[0], v[1], {v[3], v[2]}, v[3], s);
                     }});
    cases.push_back(
        {"inverse_row_norms", shape, {activation({n, width}, 1), written(Kind::f32, {n})}, [](Views v, const Stream& s) {
           inverse_row_norms(v[0], v[1], s);
         }});
    cases.push_back({"column_dots",
                     shape,
                     {activation({n, width}, 1), activation({n, width}, 2), written(Kind::f32, {width})},
                     [](Views v, const Stream& s) { column_dots(v[0], v[1], v[2], s); }});
  }
}

void add_rows(Cases& cases, const Rows& shapes) {
  for (const auto& [n, width] : shapes) {
    const std::string shape = fmt::format("tokens {}, width {}", n, width);
    const std::int64_t picked = n - n / 3;
    std::vector<std::int64_t> rising;
    for (std::int64_t i = 0; i < picked; ++i) {
      rising.push_back(i * n / picked);
    }
    cases.push_back({"gather_rows",
                     shape,
                     {activation({n, width}, 1), given(Kind::i32, rising), written(Kind::activation, {picked, width})},
                     [](Views v, const Stream& s) { gather_rows(v[0], v[1], v[2], s); }});
    cases.push_back({"scatter_rows",
                     shape,
                     {activation({picked, width}, 2), given(Kind::i32, rising), written(Kind::activation, {n, width})},
                     [](Views v, const Stream& s) { scatter_rows(v[0], v[1], v[2], s); }});
    cases.push_back({"embedding",
                     shape,
                     {whole(Kind::i32, {n}, 501, 3), activation({501, width}, 4), written(Kind::activation, {n, width})},
                     [](Views v, const Stream& s) { embedding(v[0], v[1], v[2], s); }});
    cases.push_back({"embedding_part",
                     shape,
                     {whole(Kind::i32, {n}, 501, 3), activation({170, width}, 4), changed_activation({n, width}, 5)},
                     [](Views v, const Stream& s) { embedding_part(v[0], 160, v[1], v[2], s); }});
    cases.push_back({"add_rows",
                     shape,
                     {whole(Kind::i32, {n}, 77, 5), activation({77, width}, 6), changed_activation({n, width}, 7)},
                     [](Views v, const Stream& s) { lora_dist::add_rows(v[1], v[0], v[2], s); }});
  }
}

/// A part of a flat buffer, and of a weight that was quantized whole: cuts between blocks, through them, and through bytes.
void add_parts(Cases& cases, const std::vector<StridedSlice>& parts) {
  for (const StridedSlice& slice : parts) {
    const std::string shape =
        fmt::format("{} rows of {}, one every {} from {}{}", slice.rows, slice.width, slice.stride, slice.start,
                    slice.lead > 0 ? fmt::format(", {} of them from {}", slice.lead, slice.lead_start) : "");
    const std::int64_t n = slice.elements();
    cases.push_back(
        {"take_slice", shape, {f32({slice.end() + 3}, 1), written(Kind::f32, {n})}, [slice](Views v, const Stream& s) {
           take_slice(v[0], slice, v[1], s);
         }});
    cases.push_back({"add_slice",
                     shape,
                     {whole(Kind::i64, {n}, 1000, 2), {Kind::i64, Use::in_out, {slice.end()}, {0.0, 3.0, -17592186044416.0}}},
                     [slice](Views v, const Stream& s) { add_slice(v[0], slice, v[1], s); }});
    const std::int64_t scales = slice.rows * scales_per_row(slice, 64);
    for (const FourBit code : {FourBit::nf4, FourBit::fp4}) {
      cases.push_back({code == FourBit::nf4 ? "dequantize_4bit_part nf4" : "dequantize_4bit_part fp4",
                       shape,
                       {whole(Kind::u8, {(n + 1) / 2}, 256, 3), f32({scales}, 4, 0.1, 1.0), written(Kind::activation, {n})},
                       [code, slice](Views v, const Stream& s) {
                         dequantize_4bit_part({.codes = v[0], .absmax = v[1], .block_size = 64, .code = code}, slice, v[2], s);
                       }});
    }
    const std::int64_t nested = slice.end() / 64 / 256 + 1;
    cases.push_back({"dequantize_absmax_part",
                     shape,
                     {whole(Kind::u8, {scales}, 256, 5), f32({nested}, 6), written(Kind::f32, {scales})},
                     [slice](Views v, const Stream& s) { dequantize_absmax_part(v[0], v[1], 0.5F, 64, slice, v[2], s); }});
  }
}

void add_flat(Cases& cases, const std::vector<std::int64_t>& counts) {
  for (const std::int64_t n : counts) {
    const std::string shape = fmt::format("elements {}", n);
    cases.push_back({"fixed_point_add",
                     shape,
                     {f32({n}, 1), {Kind::i64, Use::in_out, {n}, {0.0, 3.0, -17592186044416.0}}},
                     [](Views v, const Stream& s) { fixed_point_add(v[0], 0.25F, v[1], kFixedPointLimit, s); }});
    cases.push_back({"fixed_point_read",
                     shape,
                     {{Kind::i64, Use::in, {n}, {1.0, -17592186044416.0, 12345678901.0, 0.0, 3.0e14}}, written(Kind::f32, {n})},
                     [](Views v, const Stream& s) { fixed_point_read(v[0], v[1], s); }});
    cases.push_back({"adamw",
                     shape,
                     {random_operand(Kind::f32, Use::in_out, {n}, 2),
                      f32({n}, 3, 0.01),
                      random_operand(Kind::f32, Use::in_out, {n}, 4, 0.01),
                      {Kind::f32, Use::in_out, {n}, {0.0, 1e-4, 2e-5}}},
                     [](Views v, const Stream& s) {
                       adamw(v[0], v[1], v[2], v[3], {3, 2e-4, 0.9, 0.999, 1e-8, 0.01}, s);
                     }});
    const std::int64_t blocks = (n + 63) / 64;
    for (const FourBit code : {FourBit::nf4, FourBit::fp4}) {
      const std::string of_code = code == FourBit::nf4 ? " nf4" : " fp4";
      cases.push_back({"quantize_4bit" + of_code,
                       shape,
                       {f32({n}, 5), written(Kind::u8, {(n + 1) / 2}), written(Kind::f32, {blocks})},
                       [code](Views v, const Stream& s) { quantize_4bit(v[0], 64, v[1], v[2], code, s); }});
      cases.push_back({"dequantize_4bit" + of_code,
                       shape,
                       {whole(Kind::u8, {(n + 1) / 2}, 256, 6), f32({blocks}, 7, 0.1, 1.0), written(Kind::activation, {n})},
                       [code](Views v, const Stream& s) {
                         dequantize_4bit({.codes = v[0], .absmax = v[1], .block_size = 64, .code = code}, v[2], s);
                       }});
    }
    cases.push_back({"quantize_absmax",
                     shape,
                     {f32({blocks}, 8, 0.1, 1.0), written(Kind::u8, {blocks}), written(Kind::f32, {(blocks + 255) / 256})},
                     [](Views v, const Stream& s) { quantize_absmax(v[0], 1.0F, v[1], v[2], s); }});
    cases.push_back({"dequantize_absmax",
                     shape,
                     {whole(Kind::u8, {blocks}, 256, 9), f32({(blocks + 255) / 256}, 10), written(Kind::f32, {blocks})},
                     [](Views v, const Stream& s) { dequantize_absmax(v[0], v[1], 0.5F, v[2], s); }});
  }
}

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
  }
}

void add_mlp_activations(Cases& cases, const std::string& shape, std::int64_t n, std::int64_t width) {
  constexpr std::array<std::pair<Activation, const char*>, 4> kActivations = {{{Activation::silu, " silu"},
                                                                               {Activation::gelu_tanh, " gelu_tanh"},
                                                                               {Activation::gelu_erf, " gelu_erf"},
                                                                               {Activation::relu_squared, " relu_squared"}}};
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

void add_products(Cases& cases, const std::vector<std::array<std::int64_t, 3>>& shapes) {
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

/// Twice the same product onto c: with a bias as aligned as memory is, then with one that is aligned to an element.
void add_products_with_shifted_bias(Cases& cases, const std::vector<std::array<std::int64_t, 3>>& shapes) {
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

}  // namespace

std::vector<OperatorCase> operator_cases(Size size) {
  Cases cases;
  if (size == Size::test) {
    const Rows shapes = {{1, 1}, {5, 64}, {33, 100}, {7, 1032}};
    add_elementwise(cases, shapes);
    add_scales(cases, shapes);
    add_rows(cases, shapes);
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

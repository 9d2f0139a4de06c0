// Operators on elements and rows, and on flat buffers and slices of them.
#include "tests/operators/elementwise_cases.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/adamw/adamw.h"
#include "kernels/elementwise/columns.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/rows.h"
#include "kernels/embedding/embedding.h"
#include "kernels/embedding/embedding_gradient.h"
#include "kernels/fixed_point/fixed_point.h"
#include "kernels/fixed_point/fixed_point_norm.h"
#include "kernels/importance/importance.h"
#include "kernels/quantize/quantize_4bit.h"
#include "kernels/quantize/quantize_absmax.h"
#include "kernels/reduce/reduce.h"
#include "kernels/scale/scale.h"
#include "kernels/virtual_rows/virtual_rows.h"
#include "tests/operators/build_case.h"

namespace lora_dist::operators {

namespace {

using Views = std::span<const TensorView>;
using Cases = std::vector<OperatorCase>;

}  // namespace

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
    cases.push_back({"row_dots",
                     shape,
                     {activation({n, width}, 1), activation({n, width}, 2), written(Kind::f32, {n})},
                     [](Views v, const Stream& s) { row_dots(v[0], v[1], false, v[2], s); }});
    cases.push_back({"row_dots, onto",
                     shape,
                     {activation({n, width}, 3), activation({n, width}, 4), random_operand(Kind::f32, Use::in_out, {n}, 5)},
                     [](Views v, const Stream& s) { row_dots(v[0], v[1], true, v[2], s); }});
    cases.push_back(
        {"inverse_roots", shape, {random_operand(Kind::f32, Use::in_out, {n, width}, 6)}, [](Views v, const Stream& s) {
           inverse_roots(v[0], s);
         }});
    cases.push_back({"column_dots",
                     shape,
                     {activation({n, width}, 1), activation({n, width}, 2), written(Kind::f32, {width})},
                     [](Views v, const Stream& s) { column_dots(v[0], v[1], v[2], s); }});
    cases.push_back(
        {"column_sums", shape, {activation({n, width}, 1), written(Kind::f32, {width})}, [](Views v, const Stream& s) {
           column_sums(v[0], v[1], s);
         }});
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
    const Operand columns = given(Kind::i32, {40 + width - 1, 40});
    cases.push_back(
        {"put_columns", shape, {activation({n, 2}, 1), columns, changed_activation({n, width}, 2)}, [](Views v, const Stream& s) {
           put_columns(v[0], v[1], 40, v[2], s);
         }});
    cases.push_back({"take_columns",
                     shape,
                     {changed_activation({n, width}, 2), columns, written(Kind::activation, {n, 2})},
                     [](Views v, const Stream& s) { take_columns(v[0], v[1], 40, v[2], s); }});
    cases.push_back({"embedding",
                     shape,
                     {whole(Kind::i32, {n}, 501, 3), activation({501, width}, 4), written(Kind::activation, {n, width})},
                     [](Views v, const Stream& s) { embedding(v[0], v[1], v[2], s); }});
    cases.push_back({"embedding_part",
                     shape,
                     {whole(Kind::i32, {n}, 501, 3), activation({170, width}, 4), changed_activation({n, width}, 5)},
                     [](Views v, const Stream& s) { embedding_part(v[0], 160, v[1], v[2], s); }});
    cases.push_back(
        {"embedding_gradient",
         shape,
         {whole(Kind::i32, {n}, 50, 3), activation({n, width}, 4), random_operand(Kind::f32, Use::in_out, {17, width}, 5)},
         [](Views v, const Stream& s) { embedding_gradient(v[0], 16, v[1], 0.5F, v[2], s); }});
    cases.push_back({"add_rows",
                     shape,
                     {whole(Kind::i32, {n}, 77, 5), activation({77, width}, 6), changed_activation({n, width}, 7)},
                     [](Views v, const Stream& s) { lora_dist::add_rows(v[1], v[0], v[2], s); }});
  }
}

void add_virtual_rows(Cases& cases, const Rows& shapes) {
  for (const auto& [n, width] : shapes) {
    const std::string shape = fmt::format("tokens {}, width {}", n, width);
    const std::int64_t rows = std::max<std::int64_t>(1, n / 4);
    const Operand starts = given(Kind::i32, {0, n / 2, n});
    cases.push_back({"put_virtual_rows",
                     shape,
                     {f32({rows, 3 * width}, 1), starts, changed_activation({n, width}, 2)},
                     [width](Views v, const Stream& s) {
                       put_virtual_rows(v[0], {v[1], 0, width}, v[2], s);
                     }});
    cases.push_back({"take_virtual_rows",
                     shape,
                     {changed_activation({n, width}, 3), starts, random_operand(Kind::f32, Use::in_out, {rows, 3 * width}, 4)},
                     [width](Views v, const Stream& s) {
                       take_virtual_rows(v[0], {v[1], 0, width}, 0.5F, v[2], s);
                     }});
    cases.push_back({"take_virtual_rows of a part",
                     shape,
                     {changed_activation({n - n / 3, width}, 5), starts, written(Kind::f32, {rows, width})},
                     [n = n](Views v, const Stream& s) {
                       take_virtual_rows(v[0], {v[1], n / 3}, 0.5F, v[2], s);
                     }});
  }
}

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
    cases.push_back({"fixed_point_norm",
                     shape,
                     {{Kind::i64, Use::in, {n}, {1.0, -17592186044416.0, 12345678901.0, 0.0, 3.0e14}},
                      random_operand(Kind::f32, Use::in_out, {n}, 2)},
                     [](Views v, const Stream& s) {
                       const int shift = square_shift(fixed_point_largest(v[0], s));
                       scale(v[1], static_cast<float>(norm_of(fixed_point_squares(v[0], shift, s), shift)), s);
                     }});
    cases.push_back({"adamw",
                     shape,
                     {random_operand(Kind::f32, Use::in_out, {n}, 2),
                      f32({n}, 3, 0.01),
                      random_operand(Kind::f32, Use::in_out, {n}, 4, 0.01),
                      {Kind::f32, Use::in_out, {n}, {0.0, 1e-4, 2e-5}}},
                     [](Views v, const Stream& s) {
                       adamw(v[0], v[1], v[2], v[3], {3, 2e-4, 0.9, 0.999, 1e-8, 0.01}, s);
                     }});
    cases.push_back({"importance",
                     shape,
                     {f32({n}, 11), f32({n}, 12, 0.01), random_operand(Kind::f32, Use::in_out, {n}, 13, 0.01),
                      random_operand(Kind::f32, Use::in_out, {n}, 14, 0.01)},
                     [](Views v, const Stream& s) {
                       importance(v[0], v[1], v[2], v[3], {0.85, 0.7}, s);
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

}  // namespace lora_dist::operators

// 8-bit weights against bitsandbytes (tests/golden/int8.json).
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/quantize/quantize_int8.h"
#include "tests/support/compare.h"
#include "tests/support/golden_bits.h"
#include "tests/support/random_floats.h"

namespace lora_dist::int8_test {
namespace {

using namespace testing_support;

struct Quantized {
  std::vector<std::int8_t> codes;
  std::vector<float> absmax;
};

Quantized quantize(const std::vector<float>& values, std::int64_t rows, const Stream& stream = {}) {
  const std::int64_t width = static_cast<std::int64_t>(values.size()) / rows;
  Quantized q = {std::vector<std::int8_t>(values.size()), std::vector<float>(static_cast<std::size_t>(rows))};
  quantize_int8(view(values.data(), {rows, width}), view(q.codes.data(), {rows, width}), view(q.absmax.data(), {rows}), stream);
  return q;
}

std::vector<float> dequantize(const Quantized& q, const Stream& stream = {}) {
  const auto rows = static_cast<std::int64_t>(q.absmax.size());
  const std::int64_t width = static_cast<std::int64_t>(q.codes.size()) / rows;
  std::vector<float> values(q.codes.size());
  dequantize_int8(view(q.codes.data(), {rows, width}), view(q.absmax.data(), {rows}), view(values.data(), {rows, width}), stream);
  return values;
}

TEST(Int8, EqualsBitsandbytes) {
  const nlohmann::json golden = golden_json("int8.json");
  ASSERT_EQ(golden["cases"].size(), 3U);
  for (const auto& c : golden["cases"]) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const Quantized q = quantize(floats_of_bits(c["values"]), c["rows"].get<std::int64_t>());
    EXPECT_EQ(q.codes, c["codes"].get<std::vector<std::int8_t>>());
    EXPECT_TRUE(same_bits(q.absmax, floats_of_bits(c["absmax"])));
    EXPECT_TRUE(same_bits(dequantize(q), floats_of_bits(c["dequantized"])));
  }
}

TEST(Int8, TiesGoToEvenAndTheEndsAreReached) {
  const Quantized q = quantize({127.0F, -127.0F, 0.5F, 1.5F, -2.5F, 2.5F, 0.0F, -0.4F}, 1);
  EXPECT_EQ(q.codes, (std::vector<std::int8_t>{127, -127, 0, 2, -2, 2, 0, 0}));
}

/// 127 / absmax in one division would give 83. From bitsandbytes 0.50 (row 157 of layer 1's gate_proj in demo/model).
TEST(Int8, TheInverseIsRoundedTwice) {
  const Quantized q = quantize({0.3449897766113281F, 0.2241075485944748F}, 1);
  EXPECT_EQ(q.codes, (std::vector<std::int8_t>{127, 82}));
  std::vector<float> row(16, 0.2241075485944748F);  // as many as a register holds
  row[0] = 0.3449897766113281F;
  EXPECT_EQ(quantize(row, 1).codes[15], 82);
}

TEST(Int8, RowsOfZerosNanAndInfinity) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const Quantized q = quantize({0.0F, 0.0F, nan, 1.0F, inf, 1.0F}, 3);
  EXPECT_EQ(q.codes, std::vector<std::int8_t>(6, 0));
  EXPECT_EQ(q.absmax[0], 0.0F);
  EXPECT_TRUE(std::isnan(q.absmax[1]));
  const std::vector<float> back = dequantize(q);
  EXPECT_EQ(back[0], 0.0F);
  for (std::size_t i = 2; i < 6; ++i) {  // an invalid weight is detected
    EXPECT_TRUE(std::isnan(back[i])) << i;
  }
}

TEST(Int8, SameBitsOnAnyThreads) {
  const std::vector<float> values = random_floats(101 * 97, 1);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    const Quantized q = quantize(values, 101, stream);
    return join({std::vector<float>(q.codes.begin(), q.codes.end()), q.absmax, dequantize(q, stream)});
  });
}

TEST(Int8, RefusesWhatTheContractExcludes) {
  std::vector<float> values(12);
  std::vector<std::int8_t> codes(12);
  std::vector<float> absmax(3);
  const auto call = [&](Shape of_values, Shape of_codes, std::int64_t scales) {
    quantize_int8(view(std::as_const(values).data(), of_values), view(codes.data(), of_codes), view(absmax.data(), {scales}),
                  Stream{});
  };
  EXPECT_NO_THROW(call({3, 4}, {3, 4}, 3));
  EXPECT_THROW(call({12}, {12}, 3), KernelError);
  EXPECT_THROW(call({3, 4}, {4, 3}, 3), KernelError);
  EXPECT_THROW(call({3, 4}, {3, 4}, 2), KernelError);
  EXPECT_THROW(dequantize_int8(view(std::as_const(codes).data(), {3, 4}), view(std::as_const(absmax).data(), {2}),
                               view(values.data(), {3, 4}), Stream{}),
               KernelError);
}

}  // namespace
}  // namespace lora_dist::int8_test

// Casts between f32, f16 and bf16 against the definition of the formats.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/elementwise/elementwise.h"
#include "tests/support/compare.h"
#include "tests/support/random_floats.h"

namespace lora_dist::cast_test {
namespace {

using namespace testing_support;

std::vector<float> widen(const std::vector<std::uint16_t>& in, DType dtype, const Stream& stream = {}) {
  std::vector<float> out(in.size());
  const Shape shape = {static_cast<std::int64_t>(in.size())};
  cast({in.data(), dtype, shape}, view(out.data(), shape), stream);
  return out;
}

std::vector<std::uint16_t> narrow(const std::vector<float>& in, DType dtype, const Stream& stream = {}) {
  std::vector<std::uint16_t> out(in.size());
  const Shape shape = {static_cast<std::int64_t>(in.size())};
  cast(view(in.data(), shape), {out.data(), dtype, shape}, stream);
  return out;
}

std::vector<std::uint16_t> all_bits() {
  std::vector<std::uint16_t> bits(65536);
  for (std::size_t i = 0; i < bits.size(); ++i) {
    bits[i] = static_cast<std::uint16_t>(i);
  }
  return bits;
}

// The value of a small float with the given number of exponent and fraction bits.
double value_of(std::uint16_t bits, int exponent_bits, int fraction_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const int fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  }
  const double significand = std::ldexp(fraction, -fraction_bits) + (exponent == 0 ? 0.0 : 1.0);
  return sign * std::ldexp(significand, (exponent == 0 ? 1 : exponent) - bias);
}

struct Format {
  DType dtype;
  int exponent_bits;
  int fraction_bits;
};
const std::vector<Format> kFormats = {{DType::f16, 5, 10}, {DType::bf16, 8, 7}};

TEST(Cast, EveryNarrowValueWidensExactlyAndComesBack) {
  for (const Format& f : kFormats) {
    const std::vector<std::uint16_t> bits = all_bits();
    const std::vector<float> wide = widen(bits, f.dtype);
    const std::vector<std::uint16_t> back = narrow(wide, f.dtype);
    for (std::size_t i = 0; i < bits.size(); ++i) {
      const double expected = value_of(bits[i], f.exponent_bits, f.fraction_bits);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(wide[i])) << i;
        ASSERT_TRUE(std::isnan(value_of(back[i], f.exponent_bits, f.fraction_bits))) << i;
      } else {
        ASSERT_EQ(wide[i], expected) << i;
        ASSERT_EQ(back[i], bits[i]);
      }
    }
  }
}

TEST(Cast, RoundsToNearestEven) {
  // Every gap between neighbouring positive values: its middle goes to the even one, a hair to either side to the nearer one.
  for (const Format& f : kFormats) {
    const auto infinity = static_cast<std::uint16_t>(((1 << f.exponent_bits) - 1) << f.fraction_bits);
    std::vector<float> values;
    std::vector<std::uint16_t> expected;
    for (std::uint16_t low = 0; low + 1 < infinity; ++low) {
      const auto high = static_cast<std::uint16_t>(low + 1);
      const auto middle = static_cast<float>(
          (value_of(low, f.exponent_bits, f.fraction_bits) + value_of(high, f.exponent_bits, f.fraction_bits)) / 2.0);
      for (const float sign : {1.0F, -1.0F}) {
        const auto sign_bit = static_cast<std::uint16_t>(sign < 0.0F ? 0x8000 : 0);
        values.insert(values.end(), {sign * middle, sign * std::nextafter(middle, 0.0F),
                                     sign * std::nextafter(middle, std::numeric_limits<float>::infinity())});
        const std::uint16_t even = low % 2 == 0 ? low : high;
        for (const std::uint16_t magnitude : {even, low, high}) {
          expected.push_back(static_cast<std::uint16_t>(magnitude | sign_bit));
        }
      }
    }
    const std::vector<std::uint16_t> actual = narrow(values, f.dtype);
    for (std::size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(actual[i], expected[i]) << values[i];
    }
  }
}

TEST(Cast, BeyondTheLargest) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(narrow({65504.0F, 65519.996F, 65520.0F, 1e30F, inf, -inf, 1e-30F, -1e-30F}, DType::f16),
            (std::vector<std::uint16_t>{0x7BFF, 0x7BFF, 0x7C00, 0x7C00, 0x7C00, 0xFC00, 0x0000, 0x8000}));
  EXPECT_EQ(narrow({std::numeric_limits<float>::max(), inf, -inf}, DType::bf16),
            (std::vector<std::uint16_t>{0x7F80, 0x7F80, 0xFF80}));
  // A NaN whose payload lies in the bits that go must not become an infinity.
  EXPECT_TRUE(std::isnan(value_of(narrow({std::bit_cast<float>(0x7F800001U)}, DType::bf16)[0], 8, 7)));
}

TEST(Cast, CopiesF32AndSameBitsOnAnyThreads) {
  const std::vector<float> x = random_floats(200001, 1, 100.0F);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    std::vector<float> copy(x.size());
    const Shape shape = {static_cast<std::int64_t>(x.size())};
    cast(view(x.data(), shape), view(copy.data(), shape), stream);
    EXPECT_EQ(copy, x);
    return join({copy, widen(narrow(x, DType::f16, stream), DType::f16, stream),
                 widen(narrow(x, DType::bf16, stream), DType::bf16, stream)});
  });
}

TEST(Cast, RefusesWhatTheContractExcludes) {
  std::vector<float> x(4);
  std::vector<std::uint16_t> narrow_x(4);
  std::vector<std::int32_t> ids(4);
  EXPECT_THROW(cast(view(std::as_const(x).data(), {4}), view(x.data(), {3}), Stream{}), KernelError);
  EXPECT_THROW(cast({narrow_x.data(), DType::f16, {4}}, {narrow_x.data(), DType::bf16, {4}}, Stream{}), KernelError);
  EXPECT_THROW(cast(view(std::as_const(ids).data(), {4}), view(x.data(), {4}), Stream{}), KernelError);
}

}  // namespace
}  // namespace lora_dist::cast_test

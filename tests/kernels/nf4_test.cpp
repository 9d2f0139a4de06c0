// NF4 and double quantization against bitsandbytes (tests/golden/nf4.json, nf4.bin).
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>

#include "kernels/quantize/dequantize_block.h"
#include "kernels/quantize/quantize_4bit.h"
#include "kernels/quantize/quantize_absmax.h"
#include "tests/support/compare.h"
#include "tests/support/random_floats.h"

namespace lora_dist::nf4_test {
namespace {

using namespace testing_support;
using Bytes = std::vector<std::uint8_t>;

class Golden {
 public:
  Golden() {
    std::ifstream header(LORA_DIST_SOURCE_DIR "/tests/golden/nf4.json");
    json_ = nlohmann::json::parse(header);
    std::ifstream data(LORA_DIST_SOURCE_DIR "/tests/golden/nf4.bin", std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(data), std::istreambuf_iterator<char>());
  }

  const nlohmann::json& json() const { return json_; }

  std::vector<float> floats(const nlohmann::json& entry) const {
    std::vector<float> values(entry.at("count").get<std::size_t>());
    std::memcpy(values.data(), bytes_.data() + entry.at("offset").get<std::size_t>(), values.size() * sizeof(float));
    return values;
  }

  Bytes bytes(const nlohmann::json& entry) const {
    const auto begin = bytes_.begin() + entry.at("offset").get<std::ptrdiff_t>();
    return {begin, begin + entry.at("count").get<std::ptrdiff_t>()};
  }

 private:
  nlohmann::json json_;
  std::vector<char> bytes_;
};

std::int64_t size_of_vector(std::size_t n) { return static_cast<std::int64_t>(n); }

struct Quantized {
  Bytes codes;
  std::vector<float> absmax;
};

Quantized quantize(const std::vector<float>& values, std::int64_t block_size, const Stream& stream = {}) {
  const std::int64_t n = size_of_vector(values.size());
  Quantized q = {.codes = Bytes(static_cast<std::size_t>((n + 1) / 2)),
                 .absmax = std::vector<float>(static_cast<std::size_t>((n + block_size - 1) / block_size))};
  quantize_4bit(view(values.data(), {n}), block_size, view(q.codes.data(), {size_of_vector(q.codes.size())}),
                view(q.absmax.data(), {size_of_vector(q.absmax.size())}), FourBit::nf4, stream);
  return q;
}

std::vector<float> dequantize(const Bytes& codes, const std::vector<float>& absmax, std::int64_t block_size, std::size_t n,
                              const Stream& stream = {}) {
  std::vector<float> values(n);
  dequantize_4bit({.codes = view(codes.data(), {size_of_vector(codes.size())}),
                   .absmax = view(absmax.data(), {size_of_vector(absmax.size())}),
                   .block_size = block_size,
                   .code = FourBit::nf4},
                  view(values.data(), {size_of_vector(n)}), stream);
  return values;
}

Quantized quantize_nested(const std::vector<float>& absmax, float offset, const Stream& stream = {}) {
  const std::int64_t n = size_of_vector(absmax.size());
  Quantized q = {.codes = Bytes(absmax.size()), .absmax = std::vector<float>(static_cast<std::size_t>((n + 255) / 256))};
  quantize_absmax(view(absmax.data(), {n}), offset, view(q.codes.data(), {n}),
                  view(q.absmax.data(), {size_of_vector(q.absmax.size())}), stream);
  return q;
}

std::vector<float> dequantize_nested(const Quantized& q, float offset, const Stream& stream = {}) {
  std::vector<float> absmax(q.codes.size());
  dequantize_absmax(view(q.codes.data(), {size_of_vector(q.codes.size())}),
                    view(q.absmax.data(), {size_of_vector(q.absmax.size())}), offset,
                    view(absmax.data(), {size_of_vector(absmax.size())}), stream);
  return absmax;
}

// The codes of n elements, without the half byte that pads an odd count.
Bytes unpack(const Bytes& codes, std::size_t n) {
  Bytes out(n);
  for (std::size_t i = 0; i < n; ++i) {
    out[i] = i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15;
  }
  return out;
}

float ulp_of(float x) { return std::nextafter(std::fabs(x), std::numeric_limits<float>::infinity()) - std::fabs(x); }

void expect_within_one_ulp(const std::vector<float>& actual, const std::vector<float>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_LE(std::fabs(actual[i] - expected[i]), ulp_of(expected[i])) << i;
  }
}

TEST(Nf4, DynamicMapEqualsBitsandbytes) {
  const Golden golden;
  const std::vector<float> map(dynamic_map().begin(), dynamic_map().end());
  EXPECT_TRUE(same_bits(map, golden.floats(golden.json()["dynamic_map"])));
}

TEST(Nf4, EqualsBitsandbytes) {
  const Golden golden;
  ASSERT_EQ(golden.json()["cases"].size(), 11U);
  for (const auto& c : golden.json()["cases"]) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const std::vector<float> values = golden.floats(c["values"]);
    const auto block_size = c["block_size"].get<std::int64_t>();
    const Quantized q = quantize(values, block_size);
    EXPECT_EQ(unpack(q.codes, values.size()), unpack(golden.bytes(c["codes"]), values.size()));
    EXPECT_TRUE(same_bits(q.absmax, golden.floats(c["absmax"])));
    expect_within_one_ulp(dequantize(q.codes, q.absmax, block_size, values.size()), golden.floats(c["dequantized"]));

    const auto offset = c["offset"].get<float>();
    const Quantized nested = quantize_nested(q.absmax, offset);
    EXPECT_EQ(nested.codes, golden.bytes(c["nested_codes"]));
    EXPECT_TRUE(same_bits(nested.absmax, golden.floats(c["nested_absmax"])));
    expect_within_one_ulp(dequantize(q.codes, dequantize_nested(nested, offset), block_size, values.size()),
                          golden.floats(c["dequantized_nested"]));
  }
}

TEST(Nf4, NestedEqualsBitsandbytes) {
  const Golden golden;
  ASSERT_EQ(golden.json()["nested_cases"].size(), 4U);
  for (const auto& c : golden.json()["nested_cases"]) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const auto offset = c["offset"].get<float>();
    const Quantized q = quantize_nested(golden.floats(c["absmax"]), offset);
    EXPECT_EQ(q.codes, golden.bytes(c["nested_codes"]));
    EXPECT_TRUE(same_bits(q.absmax, golden.floats(c["nested_absmax"])));
    EXPECT_TRUE(same_bits(dequantize_nested(q, offset), golden.floats(c["restored"])));
  }
}

/// The offset as loading computes it (a mean summed in double, in order) instead of bitsandbytes' fp32 mean, whose last bits move
/// with its thread count: codes at most one step off, in at most 1e-4 of the blocks.
TEST(Nf4, NestedWithOurOwnOffset) {
  const Golden golden;
  std::size_t blocks = 0;
  std::size_t off = 0;
  const auto count = [&](const nlohmann::json& c) {
    const std::vector<float> absmax = golden.floats(c["absmax"]);
    double sum = 0.0;
    for (const float a : absmax) {
      sum += static_cast<double>(a);
    }
    const Quantized q = quantize_nested(absmax, static_cast<float>(sum / static_cast<double>(absmax.size())));
    const auto expected = golden.bytes(c["nested_codes"]);
    ASSERT_EQ(q.codes.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const int difference = std::abs(static_cast<int>(q.codes[i]) - static_cast<int>(expected[i]));
      ASSERT_LE(difference, 1) << c["name"] << " block " << i;
      off += static_cast<std::size_t>(difference);
    }
    blocks += expected.size();
  };
  for (const auto& c : golden.json()["cases"]) {
    count(c);
  }
  for (const auto& c : golden.json()["nested_cases"]) {
    count(c);
  }
  RecordProperty("codes_off", std::to_string(off) + " of " + std::to_string(blocks));
  EXPECT_LE(static_cast<double>(off), 1e-4 * static_cast<double>(blocks));
}

TEST(Nf4, ThresholdsAreMidpointsAndStrict) {
  // The first element makes absmax 1; the rest sit on each midpoint and a hair above it.
  std::vector<float> values = {1.0F, 0.0F};
  Bytes expected = {15, 7};
  for (std::uint8_t t = 0; t < 15; ++t) {
    const float middle = (kNf4Code[t] + kNf4Code[t + 1U]) / 2.0F;
    values.insert(values.end(), {middle, std::nextafter(middle, 2.0F)});
    expected.insert(expected.end(), {t, static_cast<std::uint8_t>(t + 1)});
  }
  EXPECT_EQ(unpack(quantize(values, 32).codes, values.size()), expected);
}

TEST(Nf4, EveryInstructionSetWritesTheSameBits) {
  Bytes codes(2048);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<std::uint8_t>(i * 37 + i / 256);
  }
  for (const std::int64_t n : {2, 30, 32, 34, 64, 100, 4096}) {
    std::vector<float> plain(static_cast<std::size_t>(n));
    dequantize_block_plain(kNf4Code.data(), codes.data(), 0.37F, plain.data(), n);
    for (std::size_t i = 0; i < plain.size(); ++i) {
      const int code = i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15;
      ASSERT_EQ(plain[i], kNf4Code[static_cast<std::size_t>(code)] * 0.37F);
    }
    std::vector<float> other(static_cast<std::size_t>(n));
    best_dequantize_block()(kNf4Code.data(), codes.data(), 0.37F, other.data(), n);
    EXPECT_TRUE(same_bits(plain, other));
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
      dequantize_block_avx2(kNf4Code.data(), codes.data(), 0.37F, other.data(), n);
      EXPECT_TRUE(same_bits(plain, other));
    }
    if (__builtin_cpu_supports("avx512f")) {
      dequantize_block_avx512(kNf4Code.data(), codes.data(), 0.37F, other.data(), n);
      EXPECT_TRUE(same_bits(plain, other));
    }
#endif
  }
}

TEST(Nf4, EveryCountAroundABlock) {
  for (const std::int64_t block_size : {32, 64, 4096}) {
    for (std::int64_t n = 1; n < 140; ++n) {
      const std::vector<float> values = random_floats(n, static_cast<std::uint32_t>(n));
      const Quantized q = quantize(values, block_size);
      const std::vector<float> back = dequantize(q.codes, q.absmax, block_size, values.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        // The widest gap of the code is 0.304 of absmax; half of it is the largest error.
        ASSERT_LE(std::fabs(back[i] - values[i]), 0.1521F * q.absmax[i / static_cast<std::size_t>(block_size)]) << n << " " << i;
      }
    }
  }
}

TEST(Nf4, BlocksOfZerosNanAndInfinity) {
  std::vector<float> values(96, 0.0F);
  values[40] = std::numeric_limits<float>::quiet_NaN();
  values[70] = 1e-42F;
  const Quantized q = quantize(values, 32);
  EXPECT_EQ(q.absmax[0], 0.0F);
  EXPECT_TRUE(std::isnan(q.absmax[1]));
  const std::vector<float> back = dequantize(q.codes, q.absmax, 32, values.size());
  EXPECT_EQ(std::vector<float>(back.begin(), back.begin() + 32), std::vector<float>(32, 0.0F));
  EXPECT_TRUE(std::isnan(back[35]));
  EXPECT_FALSE(std::isnan(back[64]));
  EXPECT_LE(std::fabs(back[64]), 1e-42F);
}

/// As on the GPU: NaN among the scales is detected.
TEST(Nf4, ANaNAbsmaxSpoilsItsNestedBlockAlone) {
  std::vector<float> absmax(300, 0.75F);
  absmax[5] = std::numeric_limits<float>::quiet_NaN();
  for (const float offset : {0.0F, 0.5F}) {
    const Quantized q = quantize_nested(absmax, offset);
    EXPECT_TRUE(std::isnan(q.absmax[0])) << offset;
    EXPECT_EQ(q.absmax[1], 0.75F - offset);
    const std::vector<float> back = dequantize_nested(q, offset);
    EXPECT_TRUE(std::isnan(back[0]) && std::isnan(back[5]) && std::isnan(back[255])) << offset;
    EXPECT_EQ(back[256], 0.75F);
  }
}

TEST(Nf4, SameBitsOnAnyThreads) {
  const std::vector<float> values = random_floats(300001, 1);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    const Quantized q = quantize(values, 64, stream);
    const Quantized nested = quantize_nested(q.absmax, 0.9F, stream);
    return join(
        {std::vector<float>(q.codes.begin(), q.codes.end()), q.absmax, dequantize(q.codes, q.absmax, 64, values.size(), stream),
         std::vector<float>(nested.codes.begin(), nested.codes.end()), nested.absmax, dequantize_nested(nested, 0.9F, stream)});
  });
}

TEST(Nf4, RefusesWhatTheContractExcludes) {
  std::vector<float> values(64);
  std::vector<float> absmax(4);
  Bytes codes(64);
  const auto call = [&](std::int64_t block_size, std::int64_t code_bytes, std::int64_t blocks) {
    quantize_4bit(view(std::as_const(values).data(), {64}), block_size, view(codes.data(), {code_bytes}),
                  view(absmax.data(), {blocks}), FourBit::nf4, Stream{});
  };
  EXPECT_NO_THROW(call(64, 32, 1));
  EXPECT_THROW(call(16, 32, 4), KernelError);
  EXPECT_THROW(call(48, 32, 2), KernelError);
  EXPECT_THROW(call(8192, 32, 1), KernelError);
  EXPECT_THROW(call(64, 31, 1), KernelError);
  EXPECT_THROW(call(64, 32, 2), KernelError);
  EXPECT_THROW(dequantize_4bit({.codes = view(std::as_const(codes).data(), {32}),
                                .absmax = view(std::as_const(absmax).data(), {2}),
                                .block_size = 64,
                                .code = FourBit::nf4},
                               view(values.data(), {64}), Stream{}),
               KernelError);
  EXPECT_THROW(quantize_absmax(view(std::as_const(values).data(), {64}), 0.0F, view(codes.data(), {63}), view(absmax.data(), {1}),
                               Stream{}),
               KernelError);
  EXPECT_THROW(dequantize_absmax(view(std::as_const(codes).data(), {64}), view(std::as_const(absmax).data(), {2}), 0.0F,
                                 view(values.data(), {64}), Stream{}),
               KernelError);
}

}  // namespace
}  // namespace lora_dist::nf4_test

// FP4 against bitsandbytes (tests/golden/fp4.json).
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/quantize/dequantize_block.h"
#include "kernels/quantize/quantize_4bit.h"
#include "tests/support/compare.h"
#include "tests/support/golden_bits.h"
#include "tests/support/random_floats.h"

namespace lora_dist::fp4_test {
namespace {

using namespace testing_support;
using Bytes = std::vector<std::uint8_t>;

struct Quantized {
  Bytes codes;
  std::vector<float> absmax;
};

Quantized quantize(const std::vector<float>& values, std::int64_t block_size, const Stream& stream = {}) {
  const auto n = static_cast<std::int64_t>(values.size());
  const std::int64_t blocks = (n + block_size - 1) / block_size;
  Quantized q = {Bytes(static_cast<std::size_t>((n + 1) / 2)), std::vector<float>(static_cast<std::size_t>(blocks))};
  quantize_4bit(view(values.data(), {n}), block_size, view(q.codes.data(), {(n + 1) / 2}), view(q.absmax.data(), {blocks}),
                FourBit::fp4, stream);
  return q;
}

std::vector<float> dequantize(const Quantized& q, std::int64_t block_size, std::size_t count, const Stream& stream = {}) {
  const auto n = static_cast<std::int64_t>(count);
  std::vector<float> values(count);
  dequantize_4bit({.codes = view(q.codes.data(), {(n + 1) / 2}),
                   .absmax = view(q.absmax.data(), {(n + block_size - 1) / block_size}),
                   .block_size = block_size,
                   .code = FourBit::fp4},
                  view(values.data(), {n}), stream);
  return values;
}

TEST(Fp4, TablesEqualBitsandbytesAndRise) {
  const std::vector<float> code(kFp4Code.begin(), kFp4Code.end());
  EXPECT_TRUE(same_bits(code, floats_of_bits(golden_json("fp4.json")["code"])));
  for (std::size_t i = 1; i < 16; ++i) {
    EXPECT_LE(kFp4Rising[i - 1], kFp4Rising[i]);
  }
}

TEST(Fp4, EqualsBitsandbytes) {
  const nlohmann::json golden = golden_json("fp4.json");
  ASSERT_EQ(golden["cases"].size(), 5U);
  for (const auto& c : golden["cases"]) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const std::vector<float> values = floats_of_bits(c["values"]);
    const auto block_size = c["block_size"].get<std::int64_t>();
    const Quantized q = quantize(values, block_size);
    EXPECT_EQ(q.codes, c["codes"].get<Bytes>());
    const std::vector<float> absmax = floats_of_bits(c["absmax"]);
    ASSERT_EQ(q.absmax.size(), absmax.size());
    EXPECT_TRUE(same_bits(q.absmax, absmax));
    const std::vector<float> expected = floats_of_bits(c["dequantized"]);
    const std::vector<float> back = dequantize(q, block_size, values.size());
    for (std::size_t i = 0; i < back.size(); ++i) {
      ASSERT_LE(std::fabs(back[i] - expected[i]), 1.2e-7F * std::fabs(expected[i]))
          << i;  // its library computes in its own order
    }
  }
}

TEST(Fp4, EveryInstructionSetWritesTheSameBits) {
  Bytes codes(500);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<std::uint8_t>(i * 37 + i / 256);
  }
  std::vector<float> plain(1000);
  std::vector<float> best(1000);
  dequantize_block_plain(kFp4Code.data(), codes.data(), 0.37F, plain.data(), 1000);
  best_dequantize_block()(kFp4Code.data(), codes.data(), 0.37F, best.data(), 1000);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const int code = i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15;
    ASSERT_EQ(plain[i], kFp4Code[static_cast<std::size_t>(code)] * 0.37F);
  }
  EXPECT_TRUE(same_bits(plain, best));
}

TEST(Fp4, SameBitsOnAnyThreads) {
  const std::vector<float> values = random_floats(100001, 1);
  expect_same_bits_on_any_threads([&](const Stream& stream) {
    const Quantized q = quantize(values, 64, stream);
    return join({std::vector<float>(q.codes.begin(), q.codes.end()), q.absmax, dequantize(q, 64, values.size(), stream)});
  });
}

}  // namespace
}  // namespace lora_dist::fp4_test

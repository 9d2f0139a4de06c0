// Numbers with units.
#include "src/plan/parse_quantities.h"

#include <gtest/gtest.h>

#include "src/core/error.h"

namespace lora_dist::parse_quantities_test {
namespace {

template <class Work>
std::string message_of(Work work) {
  try {
    work();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_EQ(error.scope(), ErrorScope::collective);
    return error.what();
  }
  return "no error";
}

TEST(Quantities, Sizes) {
  EXPECT_EQ(parse_bytes("80GB", "--memory"), 80'000'000'000);
  EXPECT_EQ(parse_bytes("80 gb", "--memory"), 80'000'000'000);
  EXPECT_EQ(parse_bytes("1.5KiB", "--memory"), 1536);
  EXPECT_EQ(parse_bytes("40GiB", "--memory"), std::int64_t{40} << 30);
  EXPECT_EQ(parse_bytes("1TB", "--memory"), 1'000'000'000'000);
  EXPECT_EQ(parse_bytes("7B", "--memory"), 7);
}

TEST(Quantities, RatesInBytesAndBits) {
  EXPECT_DOUBLE_EQ(parse_rate("450GB/s", "--link-intra"), 450e9);
  EXPECT_DOUBLE_EQ(parse_rate("200Gbit/s", "--link-inter"), 25e9);
  EXPECT_DOUBLE_EQ(parse_rate("1GiB/s", "--link-inter"), 0x1p30);
}

TEST(Quantities, Times) {
  EXPECT_DOUBLE_EQ(parse_seconds("5us", "--latency-intra"), 5e-6);
  EXPECT_DOUBLE_EQ(parse_seconds("0.1 ms", "--latency-intra"), 1e-4);
  EXPECT_DOUBLE_EQ(parse_seconds("0s", "--latency-intra"), 0.0);
}

TEST(Quantities, WhatIsNone) {
  for (const char* text : {"", "80", "GB", "80 quux", "-1GB", "0GB", "nanGB", "infGB", "1e30GB", "80GB/s", "8 0GB"}) {
    EXPECT_EQ(message_of([&] { parse_bytes(text, "--memory"); }),
              std::string("--memory must be a size such as 80GB or 40GiB (got ") + text + ")");
  }
  for (const char* text : {"", "25GB", "25", "25Gbit", "-1GB/s", "0GB/s", "25GB/h"}) {
    EXPECT_EQ(message_of([&] { parse_rate(text, "--link-inter"); }),
              std::string("--link-inter must be a rate such as 450GB/s or 200Gbit/s (got ") + text + ")");
  }
  for (const char* text : {"", "5", "-5us", "5 minutes", "nans"}) {
    EXPECT_EQ(message_of([&] { parse_seconds(text, "--latency-inter"); }),
              std::string("--latency-inter must be a time such as 5us or 0.1ms (got ") + text + ")");
  }
}

TEST(Quantities, SecondsForPeople) {
  EXPECT_EQ(human_seconds(0.0), "0 s");
  EXPECT_EQ(human_seconds(12.34e-6), "12.3 us");
  EXPECT_EQ(human_seconds(4.56e-3), "4.56 ms");
  EXPECT_EQ(human_seconds(0.99949), "999 ms");
  EXPECT_EQ(human_seconds(0.9996), "1.00 s");
  EXPECT_EQ(human_seconds(123.4), "123 s");
}

}  // namespace
}  // namespace lora_dist::parse_quantities_test

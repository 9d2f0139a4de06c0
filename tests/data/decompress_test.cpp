// gzip streams of gzip and Python, and damaged, truncated or oversized ones.
#include "src/data/decompress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/data/packed.h"

namespace lora_dist::decompress_test {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kRoom = std::uint64_t{1} << 20;

std::string problem_of(const std::string& bytes, std::uint64_t limit = kRoom) {
  try {
    gunzip(bytes, limit);
    return "none";
  } catch (const std::runtime_error& e) {
    return e.what();
  }
}

/// Bytes that hardly pack.
std::string noise(std::size_t size) {
  std::string out(size, '\0');
  std::uint32_t state = 1;
  for (char& c : out) {
    state = state * 1664525U + 1013904223U;
    c = static_cast<char>(state >> 24U);
  }
  return out;
}

TEST(Gunzip, ReadsWhatPythonWrote) {
  // gzip.compress(b'{"text": "hi"}\n', mtime=0)
  const std::string bytes(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x49\xad\x28\x51\xb2\x52\x50\xca\xc8\x54\xaa\xe5\x02\x00\x81"
      "\xd8\xbc\xc1\x0f\x00\x00\x00",
      35);
  EXPECT_TRUE(is_gzip(bytes));
  EXPECT_EQ(gunzip(bytes, kRoom), "{\"text\": \"hi\"}\n");
}

TEST(Gunzip, MembersAreJoinedAndZerosBehindThemPassedOver) {
  std::string large(3'000'000, 'a');
  for (std::size_t i = 0; i < large.size(); i += 7) {
    large[i] = static_cast<char>('b' + i % 20);
  }
  const std::string bytes = gzipped(large) + gzipped("") + gzipped("end");
  EXPECT_EQ(gunzip(bytes, 2 * large.size()), large + "end");
  EXPECT_EQ(gunzip(bytes + std::string(512, '\0'), 2 * large.size()), large + "end");
}

TEST(Gunzip, DamageIsSaid) {
  const std::string good = gzipped("{\"text\": \"hello, hello, hello\"}");
  EXPECT_EQ(problem_of(good.substr(0, good.size() - 1)), "its gzip stream is cut off");
  EXPECT_EQ(problem_of(good.substr(0, 12)), "its gzip stream is cut off");
  EXPECT_EQ(problem_of("\x1F\x8B"), "its gzip stream is cut off");
  std::string bad = good;
  bad[good.size() - 6] = static_cast<char>(bad[good.size() - 6] ^ 1);  // of the checksum
  EXPECT_EQ(problem_of(bad), "its gzip stream is damaged");
  EXPECT_EQ(problem_of(good + "more"), "there are other bytes after the gzip stream");
}

TEST(Gunzip, ALimitHolds) {
  const std::string bomb = gzipped(std::string(1 << 22, '\0'));
  EXPECT_THAT(problem_of(bomb, 1 << 21), HasSubstr("it unpacks to more than 2 MiB"));
  const std::string two = gzipped(noise(40000)) + bomb;  // the ratio is that of the whole stream, whichever member is too large
  EXPECT_EQ(problem_of(two, 1 << 21), "it unpacks to more than 2 MiB, " + std::to_string((1 << 21) / two.size()) +
                                          " times its own size, which no text does");
  EXPECT_EQ(gunzip(bomb, 1 << 22).size(), std::size_t{1} << 22);
  EXPECT_EQ(most_unpacked_bytes("abc"), std::uint64_t{256} << 20);
  EXPECT_EQ(most_unpacked_bytes(std::string(2 << 20, 'a')), std::uint64_t{400} << 20);
}

}  // namespace
}  // namespace lora_dist::decompress_test

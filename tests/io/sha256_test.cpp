// SHA-256 against published digests.
#include "src/io/sha256.h"

#include <gtest/gtest.h>

#include "tests/support/scratch.h"

namespace lora_dist::sha256_test {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// FIPS 180-2, appendix B, and the digest of no bytes at all.
constexpr const char* kAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr const char* kEmpty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr const char* kMillionA = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

TEST(Sha256, EqualsThePublishedVectors) {
  EXPECT_EQ(sha256_of(bytes_of("abc")), kAbc);
  EXPECT_EQ(sha256_of({}), kEmpty);
  EXPECT_EQ(sha256_of(bytes_of(std::string(1'000'000, 'a'))), kMillionA);
}

TEST(Sha256, DoesNotDependOnThePieces) {
  Sha256 hash;
  for (int i = 0; i < 1000; ++i) {
    hash.update(bytes_of(std::string(1000, 'a')));
  }
  EXPECT_EQ(hash.hex(), kMillionA);
}

TEST(Sha256, OfFiles) {
  const Scratch scratch;
  put_file(scratch / "abc", "abc");
  put_file(scratch / "empty", "");
  put_file(scratch / "long", std::string(3'000'001, 'x'));  // more than one buffer, and not a multiple of it
  EXPECT_EQ(sha256_of_file(scratch / "abc"), kAbc);
  EXPECT_EQ(sha256_of_file(scratch / "empty"), kEmpty);
  EXPECT_EQ(sha256_of_file(scratch / "long"), sha256_of(bytes_of(std::string(3'000'001, 'x'))));
  const Thrown missing = thrown_by([&] { sha256_of_file(scratch / "none"); });
  EXPECT_EQ(missing.code, ExitCode::model);
  EXPECT_EQ(missing.message, "cannot open " + (scratch / "none").string() + ": No such file or directory");
}

}  // namespace
}  // namespace lora_dist::sha256_test

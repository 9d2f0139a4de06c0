// A base store: partial reads, and rejection of any changed byte.
#include "src/io/base_store.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <numeric>

#include "src/io/sha256.h"
#include "tests/support/scratch.h"

namespace lora_dist::base_store_test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::size_t kPiece = 256 << 10;
constexpr std::size_t kBytes = 2 * kPiece + 100;

class BaseStore : public testing::Test {
 protected:
  BaseStore() : bytes_(kBytes, std::byte{0}) {
    std::iota(reinterpret_cast<unsigned char*>(bytes_.data()), reinterpret_cast<unsigned char*>(bytes_.data()) + kPiece / 4, 3);
    BaseStoreWriter store(file_);
    store.add("a.weight", DType::u8, {static_cast<std::int64_t>(kBytes)}, bytes_);
    std::ranges::reverse(bytes_);
    store.add("b.weight", DType::u8, {static_cast<std::int64_t>(kBytes)}, bytes_);
    store.add("c.none", DType::f32, {0}, {});
    store.close("here");
  }

  std::vector<std::byte> read(const std::string& name, std::uint64_t from, std::uint64_t count) {
    std::vector<std::byte> out(count);
    read_tensor_bytes(read_base_store(file_).tensors.at(name), from, out);
    return out;
  }

  /// A store with this table and its digest.
  Thrown opened_with(const std::string& table, const std::string& format = "lora_dist base store 2") {
    const fs::path file = scratch_ / "other.h5";
    Hdf5Writer writer(file);
    writer.write("tensors", std::as_bytes(std::span(table)));
    writer.attribute("format", format);
    writer.attribute("made_from", "");
    writer.attribute("tensors_sha256", sha256_of(std::as_bytes(std::span(table))));
    writer.close();
    return thrown_by([&] { read_base_store(file); });
  }

  Scratch scratch_;
  fs::path file_ = scratch_ / kBaseStoreFile;
  std::vector<std::byte> bytes_;  // of b.weight
};

TEST_F(BaseStore, GivesBackAnyPart) {
  EXPECT_EQ(read("b.weight", 0, kBytes), bytes_);
  for (const auto& [from, count] : {std::pair<std::size_t, std::size_t>{0, 1},
                                    {5, kPiece},
                                    {kPiece - 1, 2},
                                    {kPiece, kPiece},
                                    {kPiece, kPiece + 100},
                                    {2 * kPiece + 99, 1},
                                    {kBytes, 0}}) {
    EXPECT_TRUE(std::ranges::equal(read("b.weight", from, count), std::span(bytes_).subspan(from, count))) << from;
  }
  EXPECT_TRUE(read("c.none", 0, 0).empty());
  EXPECT_EQ(read_base_store(file_).metadata.at("made_from"), "here");
  EXPECT_THAT(base_store_problems(file_), ElementsAre());
}

/// A sector of zeros that comes back as ones has the same Fletcher-32.
TEST_F(BaseStore, SeesWhatTheChecksumOfHdf5DoesNot) {
  std::string content = get_file(file_);
  const std::size_t zeros = content.find(std::string(kPiece / 2, '\0'));
  ASSERT_NE(zeros, std::string::npos);
  content.replace(zeros + 1024, 512, std::string(512, '\xff'));
  put_file(file_, content);
  EXPECT_THAT(base_store_problems(file_), ElementsAre(AllOf(HasSubstr(file_.string()), HasSubstr("weight is damaged: SHA-256"))));
  const bool first = base_store_problems(file_).front().find("a.weight") != std::string::npos;
  const Thrown error = thrown_by([&] { read(first ? "a.weight" : "b.weight", 0, kBytes); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, AllOf(HasSubstr("expected for its bytes from "), HasSubstr("quantize")));
}

TEST_F(BaseStore, TablesThatCannotBeAreRefused) {
  const std::string digest = "\"" + std::string(64, '0') + "\"";
  const auto row = [&](const std::string& dtype, const std::string& shape, const std::string& digests) {
    return R"({"name":"a.b","dtype":")" + dtype + R"(","shape":)" + shape + R"(,"sha256":)" + digests + "}";
  };
  const std::string good = row("u8", "[5]", "[" + digest + "]");
  EXPECT_THAT(opened_with("[" + good + "," + good + "]").message, HasSubstr("names a.b twice"));
  EXPECT_THAT(opened_with("[" + row("u8", "[5]", "[]") + "]").message, HasSubstr("has 0 digests for the 5 bytes of a.b"));
  EXPECT_THAT(opened_with("[" + row("u8", "[4611686018427387904]", "[" + digest + "]") + "]").message,
              HasSubstr("has 1 digests for the 4611686018427387904 bytes"));
  EXPECT_THAT(opened_with("[" + row("X9", "[5]", "[" + digest + "]") + "]").message, HasSubstr("an unknown type for a.b"));
  EXPECT_THAT(opened_with("[" + row("u8", "[5]", digest) + "]").message, HasSubstr("the table of tensors is damaged"));
  EXPECT_THAT(opened_with("[").message, HasSubstr("the table of tensors is damaged"));
  EXPECT_THAT(
      opened_with("[]", "lora_dist base store 1").message,
      AllOf(HasSubstr("its format is \"lora_dist base store 1\""), HasSubstr("write the store again with lora_dist quantize")));
}

}  // namespace
}  // namespace lora_dist::base_store_test

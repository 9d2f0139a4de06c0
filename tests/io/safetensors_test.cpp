// Safetensors: writing, reading back, and rejection of invalid headers.
#include "src/io/safetensors.h"

#include <gmock/gmock.h>

#include <cstring>
#include <random>

#include "kernels/common/check.h"
#include "tests/support/scratch.h"

namespace lora_dist::safetensors_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string number_text(std::uint64_t value) {
  std::string text(8, '\0');
  std::memcpy(text.data(), &value, 8);
  return text;
}

std::string file_text(const std::string& header, const std::string& data) { return number_text(header.size()) + header + data; }

/// The error of reading a file with this content; "" if accepted.
std::string problem_of(const std::string& content) {
  const Scratch scratch;
  put_file(scratch / "m.safetensors", content);
  try {
    read_safetensors_header(scratch / "m.safetensors");
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::model);
    EXPECT_THAT(e.what(), HasSubstr((scratch / "m.safetensors").string()));
    return e.what();
  }
  return "";
}

std::string problem_of(const std::string& header, const std::string& data) { return problem_of(file_text(header, data)); }

const std::vector<float> kValues = {0, 1, 2, 3, 4, 5};

TEST(SafetensorsWriter, WritesTheBytesOfTheReferenceFile) {
  // What safetensors 0.8.0 writes for torch.save_file({...}, metadata={"format": "pt"}) of these tensors: wide types first, then
  // by name, compact JSON, spaces up to a multiple of 8.
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"z":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]},"c":{"dtype":"F32","shape":[],"data_offsets":[32,36]},)"
      R"("a":{"dtype":"BF16","shape":[3],"data_offsets":[36,42]},"e":{"dtype":"U8","shape":[0,4],"data_offsets":[42,42]}})";
  const std::vector<std::int64_t> z = {7};
  const std::vector<std::uint16_t> a = {0x3f80, 0x4000, 0x4040};
  const Scratch scratch;
  write_safetensors(scratch / "f", {{"a", DType::bf16, {3}, std::as_bytes(std::span(a))},
                                    {"b", DType::f32, {2, 3}, std::as_bytes(std::span(kValues))},
                                    {"c", DType::f32, {}, std::as_bytes(std::span(kValues).subspan(1, 1))},
                                    {"e", DType::u8, {0, 4}, {}},
                                    {"z", DType::i64, {1}, std::as_bytes(std::span(z))}});
  const std::string content = get_file(scratch / "f");
  const std::size_t padded = (header.size() + 7) / 8 * 8;
  EXPECT_EQ(content.substr(0, 8), number_text(padded));
  EXPECT_EQ(content.substr(8, padded), header + std::string(padded - header.size(), ' '));
  EXPECT_EQ(content.size(), 8 + padded + 42);
}

TEST(SafetensorsWriter, KeepsMetadataAndRefusesABrokenPromise) {
  const Scratch scratch;
  const auto bytes = std::as_bytes(std::span(kValues));
  write_safetensors(scratch / "f", {{"quote\"d", DType::f32, {6}, bytes}}, {{"note", "x"}});
  const TensorDirectory directory = read_safetensors_header(scratch / "f");
  EXPECT_EQ(directory.metadata, (std::map<std::string, std::string>{{"format", "pt"}, {"note", "x"}}));
  EXPECT_TRUE(directory.tensors.contains("quote\"d"));
  EXPECT_THROW(write_safetensors(scratch / "g", {{"a", DType::f32, {5}, bytes}}), KernelError);
  EXPECT_THROW(write_safetensors(scratch / "g", {{"a", DType::f32, {6}, bytes}, {"a", DType::f32, {6}, bytes}}), KernelError);
}

TEST(Safetensors, RoundTripByPieces) {
  const Scratch scratch;
  write_safetensors(scratch / "f", {{"b", DType::f32, {2, 3}, std::as_bytes(std::span(kValues))}, {"a", DType::f32, {0}, {}}});
  const TensorDirectory directory = read_safetensors_header(scratch / "f");
  EXPECT_THAT(directory.files, ElementsAre(scratch / "f"));
  const TensorInfo& b = directory.tensors.at("b");
  EXPECT_EQ(b.dtype, DType::f32);
  EXPECT_THAT(b.shape, ElementsAre(2, 3));
  EXPECT_EQ(b.bytes, 24U);
  std::vector<float> part(3);
  read_tensor_bytes(b, 8, std::as_writable_bytes(std::span(part)));
  EXPECT_THAT(part, ElementsAre(2, 3, 4));
  EXPECT_THROW(read_tensor_bytes(b, 16, std::as_writable_bytes(std::span(part))), KernelError);
  std::filesystem::resize_file(scratch / "f", std::filesystem::file_size(scratch / "f") - 4);
  EXPECT_THAT(thrown_by([&] { read_tensor_bytes(b, 12, std::as_writable_bytes(std::span(part))); }).message,
              HasSubstr("truncated"));
}

TEST(Safetensors, AcceptsEmptyFilesAndAnyOrder) {
  EXPECT_EQ(problem_of("{}", ""), "");
  EXPECT_EQ(problem_of("{}      ", ""), "");
  EXPECT_EQ(problem_of(R"({"__metadata__":null})", ""), "");
  EXPECT_EQ(
      problem_of(R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})",
                 "xy"),
      "");
  EXPECT_EQ(problem_of(
                R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"e":{"dtype":"F32","shape":[0,9],"data_offsets":[0,0]}})",
                "xy"),
            "");
}

TEST(Safetensors, RefusesALyingHeaderLength) {
  EXPECT_THAT(problem_of("1234567"), HasSubstr("it has 7 bytes, not even the 8 of a header length"));
  EXPECT_THAT(problem_of(number_text(std::uint64_t{1} << 63) + "{}"),
              HasSubstr("its header claims 9223372036854775808 bytes, above"));
  EXPECT_THAT(problem_of(number_text(~std::uint64_t{0}) + "{}"), HasSubstr("above the format's limit of 100000000"));
  EXPECT_THAT(problem_of(number_text(100'000'001) + "{}"), HasSubstr("above the format's limit"));
  EXPECT_THAT(problem_of(number_text(100'000'000) + "{}"),
              HasSubstr("its header claims 100000000 bytes and the file has 10 (truncated)"));
  EXPECT_THAT(problem_of(number_text(3) + "{}"), HasSubstr("truncated"));
}

TEST(Safetensors, RefusesABadHeader) {
  EXPECT_THAT(problem_of("[]", ""), HasSubstr("does not start with {"));
  EXPECT_THAT(problem_of("", ""), HasSubstr("does not start with {"));
  EXPECT_THAT(problem_of(" {}", ""), HasSubstr("does not start with {"));
  EXPECT_THAT(problem_of("{", ""), HasSubstr("not valid JSON"));
  EXPECT_THAT(problem_of("{\"\xff\":1}", ""), HasSubstr("ill-formed UTF-8"));
  const std::string one = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_EQ(problem_of("{" + one + "}", "x"), "");
  EXPECT_THAT(problem_of("{" + one + "," + one + "}", "x"), HasSubstr("the key \"a\" is given twice"));
  EXPECT_THAT(problem_of(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x"),
              HasSubstr("\"dtype\" is given twice"));
  EXPECT_THAT(problem_of(R"({"__metadata__":[]})", ""), HasSubstr("__metadata__ is not an object"));
  EXPECT_THAT(problem_of(R"({"__metadata__":{"x":1}})", ""), HasSubstr("__metadata__ may hold text only, and x is not"));
}

struct BadEntry {
  const char* entry;
  const char* says;
};

TEST(Safetensors, RefusesABadEntry) {
  const BadEntry cases[] = {
      {R"(1)", "tensor a lacks dtype, shape or data_offsets"},
      {R"({"dtype":"U8","shape":[1]})", "tensor a lacks"},
      {R"({"dtype":8,"shape":[1],"data_offsets":[0,1]})", "tensor a has no dtype"},
      {R"({"dtype":"F7","shape":[1],"data_offsets":[0,1]})", "tensor a has the dtype F7, which safetensors does not have"},
      {R"({"dtype":"F4","shape":[3],"data_offsets":[0,1]})",
       "its shape and dtype need more than can be counted, or no whole number of them"},
      {R"({"dtype":"u8","shape":[1],"data_offsets":[0,1]})", "dtype u8"},
      {R"({"dtype":"U8","shape":1,"data_offsets":[0,1]})", "the shape of tensor a"},
      {R"({"dtype":"U8","shape":[-1],"data_offsets":[0,1]})", "the shape of tensor a"},
      {R"({"dtype":"U8","shape":[1.0],"data_offsets":[0,1]})", "the shape of tensor a"},
      {R"({"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1]})", "the shape of tensor a"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[0]})", "data_offsets of tensor a"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[0,1,2]})", "data_offsets of tensor a"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[1,0]})", "data_offsets of tensor a"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[-1,0]})", "data_offsets of tensor a"},
      {R"({"dtype":"U8","shape":[2],"data_offsets":[0,1]})", "has 1 bytes, but its shape and dtype need 2"},
      {R"({"dtype":"F32","shape":[1],"data_offsets":[0,1]})", "has 1 bytes, but its shape and dtype need 4"},
      {R"({"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]})", "need more than can be counted"},
      {R"({"dtype":"U8","shape":[9223372036854775807,9223372036854775807,0],"data_offsets":[0,0]})",
       "need more than can be counted"},
      {R"({"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]})", "need more than can be counted"},
      {R"({"dtype":"U8","shape":[1],"data_offsets":[1,2]})", "begins at byte 1 of the data, where byte 0 was due (hole)"},
      {R"({"dtype":"U8","shape":[9],"data_offsets":[0,9]})", "its tensors need 9 bytes of data and it holds 1 (truncated)"},
      {R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})",
       "its tensors need 0 bytes of data and it holds 1 (bytes beyond the last tensor)"},
  };
  for (const BadEntry& bad : cases) {
    EXPECT_THAT(problem_of(std::string("{\"a\":") + bad.entry + "}", "x"), HasSubstr(bad.says));
  }
}

TEST(Safetensors, RefusesOverlaps) {
  EXPECT_THAT(
      problem_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                 "xyz"),
      HasSubstr("tensor b begins at byte 1 of the data, where byte 2 was due (overlap)"));
  EXPECT_THAT(
      problem_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
                 "xy"),
      HasSubstr("(overlap)"));
}

TEST(Safetensors, NoMutationCrashesOrEscapesTheFile) {
  const Scratch scratch;
  write_safetensors(scratch / "f", {{"b", DType::f32, {2, 3}, std::as_bytes(std::span(kValues))},
                                    {"a", DType::f32, {1}, std::as_bytes(std::span(kValues).subspan(0, 1))}});
  const std::string sound = get_file(scratch / "f");
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string content = sound;
    for (int flips = 1 + i % 3; flips > 0; --flips) {
      content[random() % (sound.size() - 28)] = static_cast<char>(random() % 256);  // 28: the data, which may be anything
    }
    if (i % 5 == 0) {
      content.resize(random() % content.size());
    }
    put_file(scratch / "g", content);
    try {
      for (const auto& [name, tensor] : read_safetensors_header(scratch / "g").tensors) {
        ASSERT_LE(tensor.offset + tensor.bytes, content.size());
      }
    } catch (const Error& e) {
      ASSERT_EQ(e.code(), ExitCode::model);
      ++refused;
    }
  }
  EXPECT_GT(refused, 2000);  // the rest changed a name or the padding
}

/// Unsupported dtypes of unused tensors are allowed.
TEST(Safetensors, TensorsOfOtherDTypesAreCounted) {
  const Scratch scratch;
  const std::string header =
      R"({"a":{"dtype":"F8_E4M3","shape":[2,2],"data_offsets":[0,4]},)"
      R"("b":{"dtype":"F4","shape":[4],"data_offsets":[4,6]},"c":{"dtype":"U8","shape":[1],"data_offsets":[6,7]}})";
  const std::uint64_t length = header.size();
  put_file(scratch / "x.safetensors",
           std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + std::string(7, 'x'));
  const TensorDirectory directory = read_safetensors_header(scratch / "x.safetensors");
  EXPECT_EQ(dtype_text(directory.tensors.at("a")), "F8_E4M3");
  EXPECT_EQ(dtype_text(directory.tensors.at("b")), "F4");
  EXPECT_EQ(dtype_text(directory.tensors.at("c")), "u8");
  EXPECT_EQ(directory.tensors.at("b").bytes, 2U);
}

}  // namespace
}  // namespace lora_dist::safetensors_test

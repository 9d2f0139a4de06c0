// The container of GGUF files: read, refused when it lies, and split ones.
#include "src/io/gguf.h"

#include <gmock/gmock.h>

#include <random>

#include "src/io/safetensors.h"
#include "tests/support/demo_gguf.h"
#include "tests/support/scratch.h"

namespace lora_dist::gguf_test {
namespace {

using test::bytes_of;
using test::gguf_text;
using test::GgufWriter;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;

const std::string kSixteen = bytes_of(1.0F) + bytes_of(2.0F) + bytes_of(3.0F) + bytes_of(4.0F);

/// A small sound file.
GgufWriter small() {
  GgufWriter out;
  out.text("general.architecture", "llama");
  out.number("a.number", 7);
  out.list<float>("a.list", 6, {1.5F, 2.5F});
  out.list<std::int32_t>("a.types", 5, {1, -2});
  out.texts("a.texts", {"x", ""});
  out.flag("a.flag", true);
  out.tensor("one", {4}, 0, kSixteen);
  out.tensor("two", {2, 2}, 0, kSixteen);
  return out;
}

/// `bytes`: the file is made so long with zeros; 0: it is not.
std::string problem_of(const std::string& content, std::uint64_t bytes = 0) {
  const Scratch scratch;
  put_file(scratch / "m.gguf", content);
  if (bytes > 0) {
    std::filesystem::resize_file(scratch / "m.gguf", bytes);
  }
  const Thrown error = thrown_by([&] { read_gguf(scratch / "m.gguf"); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, HasSubstr((scratch / "m.gguf").string()));
  return error.message;
}

TEST(Gguf, KeysAndTensors) {
  const Scratch scratch;
  put_file(scratch / "m.gguf", small().content());
  const GgufFile file = read_gguf(scratch / "m.gguf");
  EXPECT_EQ(*file.text("general.architecture"), "llama");
  EXPECT_EQ(file.integer("a.number"), 7);
  EXPECT_THAT(*file.numbers("a.list"), ElementsAre(1.5, 2.5));
  EXPECT_THAT(*file.integers("a.types"), ElementsAre(1, -2));
  EXPECT_THAT(*file.texts("a.texts"), ElementsAre("x", ""));
  EXPECT_EQ(file.flag("a.flag"), true);
  EXPECT_EQ(file.integer("nothing"), std::nullopt);
  EXPECT_THAT(file.tensors.at("two").shape, ElementsAre(2, 2));
  EXPECT_EQ(file.tensors.at("two").offset, file.tensors.at("one").offset + 32);
  EXPECT_THAT(thrown_by([&] { file.integer("a.flag"); }).message, HasSubstr("key a.flag must be an integer"));
  EXPECT_TRUE(file.warnings.empty());
  put_file(scratch / "m.gguf", small().content() + std::string(100, 'x'));
  EXPECT_THAT(read_gguf(scratch / "m.gguf").warnings, ElementsAre(HasSubstr("has 100 bytes beyond its last tensor")));
}

TEST(Gguf, NotOne) {
  EXPECT_THAT(problem_of(""), HasSubstr("does not begin with GGUF"));
  EXPECT_THAT(problem_of("GGML" + std::string(100, '\0')), HasSubstr("does not begin with GGUF; copy or download it again"));
  EXPECT_THAT(problem_of("GGUF" + bytes_of(std::uint32_t{1}) + std::string(100, '\0')), HasSubstr("version 1 of the format"));
  EXPECT_THAT(problem_of("GGUF" + bytes_of(std::uint32_t{0x03000000}) + std::string(100, '\0')), HasSubstr("big-endian"));
}

TEST(Gguf, ALyingHeader) {
  const auto with_key = [](std::uint32_t type, const std::string& value) {
    GgufWriter out = small();
    out.raw_key("x", type, value);
    return problem_of(out.content());
  };
  EXPECT_THAT(
      with_key(8, bytes_of(std::uint64_t{1} << 40U)),
      HasSubstr("key x claims a text of 1099511627776 bytes and the file ends before (truncated); copy or download it again"));
  EXPECT_THAT(with_key(13, bytes_of(std::uint64_t{1})), HasSubstr("key x has the type 13"));
  EXPECT_THAT(with_key(7, "\2"), HasSubstr("key x has the boolean 2"));
  EXPECT_THAT(with_key(9, bytes_of(std::uint32_t{9}) + bytes_of(std::uint64_t{1})),
              HasSubstr("key x is a list of lists; convert the model again"));
  EXPECT_THAT(with_key(9, bytes_of(std::uint32_t{4}) + bytes_of(~std::uint64_t{0})),
              HasSubstr("key x claims a list of 18446744073709551615 items and the file ends before (truncated); copy"));
  GgufWriter twice = small();
  twice.number("a.number", 1);
  EXPECT_THAT(problem_of(twice.content()), HasSubstr("key a.number is there twice; convert the model again"));
  GgufWriter many = small();
  many.tensor_count = std::uint64_t{1} << 50U;
  EXPECT_THAT(problem_of(many.content()), HasSubstr("it claims 1125899906842624 tensors and 6 keys and the file ends before"));
  GgufWriter aligned = small();
  aligned.number("general.alignment", 48);
  EXPECT_THAT(problem_of(aligned.content()),
              HasSubstr("general.alignment is 48, and must be a power of two up to 1048576; convert the model again"));
  GgufWriter split = small();
  split.raw_key("split.count", 5, bytes_of(std::int32_t{-1}));
  EXPECT_THAT(problem_of(split.content()), HasSubstr("split.count is -1; convert the model again"));
  GgufWriter odd = small();
  odd.raw_key("a\x1B[2J\n\xFF", 7, "\2");
  EXPECT_THAT(problem_of(odd.content()), HasSubstr("key a\\u001B[2J\\u000A\\xFF has the boolean 2"));
  const std::string sound = small().content();
  EXPECT_THAT(problem_of(sound.substr(0, 60)), HasSubstr("truncated"));
  EXPECT_THAT(problem_of(sound.substr(0, sound.size() - 20)), HasSubstr("tensor two needs 16 bytes and the file ends before"));
}

/// The files are long enough for what their headers say.
TEST(Gguf, LimitsOfThisProgram) {
  const auto with_key = [](std::uint32_t type, const std::string& value) {
    GgufWriter out;
    out.raw_key("x", type, value);
    return problem_of(out.content(), std::uint64_t{20} << 20U);
  };
  EXPECT_THAT(with_key(8, bytes_of(std::uint64_t{16777217})),
              EndsWith("m.gguf: key x has a text of 16777217 bytes; at most 16 MiB are read"));
  EXPECT_THAT(with_key(9, bytes_of(std::uint32_t{0}) + bytes_of(std::uint64_t{16777217})),
              EndsWith("m.gguf: key x has a list of 16777217 items; at most 16777216 are read"));
  GgufWriter many;
  many.tensor_count = 1048577;
  EXPECT_THAT(problem_of(many.content(), std::uint64_t{40} << 20U),
              EndsWith("m.gguf: it has 1048577 tensors; at most 1048576 are read"));
  GgufWriter keys;
  keys.key_count = 65537;
  EXPECT_THAT(problem_of(keys.content(), std::uint64_t{1} << 20U), EndsWith("m.gguf: it has 65537 keys; at most 65536 are read"));
}

TEST(Gguf, NamesOfParts) {
  const auto part = gguf_part_name("m-00001-of-00002-00003-of-00012.gguf");
  ASSERT_TRUE(part);
  EXPECT_EQ(part->stem, "m-00001-of-00002");
  EXPECT_EQ(part->number, 3);
  EXPECT_EQ(part->count, 12);
  EXPECT_TRUE(gguf_part_name("M-00001-of-00002.GGUF"));
  EXPECT_FALSE(gguf_part_name("m.gguf"));
  EXPECT_FALSE(gguf_part_name("m-1-of-2.gguf"));
  EXPECT_FALSE(gguf_part_name("m-00001-of-00002.safetensors"));
}

TEST(Gguf, LyingTensors) {
  const auto with_tensor = [](std::string_view name, const std::vector<std::uint64_t>& sizes, std::uint32_t type) {
    GgufWriter out = small();
    out.tensor(name, sizes, type, kSixteen);
    return problem_of(out.content());
  };
  EXPECT_THAT(with_tensor("one", {4}, 0), HasSubstr("tensor one is there twice; convert the model again"));
  EXPECT_THAT(with_tensor(std::string(64, 'n'), {4}, 0), HasSubstr("a tensor's name has 64 bytes"));
  EXPECT_THAT(with_tensor("a\x1B[2J\n\xFF", {4}, 0),
              HasSubstr("the name of tensor a\\u001B[2J\\u000A\\xFF is no printable ASCII; convert the model again"));
  EXPECT_THAT(with_tensor("x", {}, 0), HasSubstr("tensor x has 0 dimensions"));
  EXPECT_THAT(with_tensor("x", {1, 1, 1, 1, 1}, 0), HasSubstr("tensor x has 5 dimensions"));
  EXPECT_THAT(with_tensor("x", {0}, 0), HasSubstr("tensor x has a dimension of 0"));
  EXPECT_THAT(with_tensor("x", {1ULL << 40U, 1ULL << 40U}, 0), HasSubstr("too many elements"));
  EXPECT_THAT(with_tensor("x", {1ULL << 62U}, 0), HasSubstr("too many of them"));
  EXPECT_THAT(
      with_tensor("x", {33}, 8),
      HasSubstr("rows of 33 values, which are no whole blocks of 32 (Q8_0), or too many of them; convert the model again"));
  EXPECT_THAT(
      with_tensor("x", {256}, 16),
      HasSubstr(
          "tensor x has the type IQ2_XXS, which is not read (F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, "
          "Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4 are)"));
  EXPECT_THAT(with_tensor("x", {256}, 77), HasSubstr("tensor x has the type 77, which is not read"));
  GgufWriter moved = small();
  moved.data.resize(moved.data.size() + 32);
  moved.tensor("x", {4}, 0, kSixteen);
  EXPECT_THAT(problem_of(moved.content()),
              HasSubstr("tensor x begins at byte 96 of the data, where byte 64 was due; convert the model again"));
}

TEST(Gguf, NoMutationCrashesOrEscapesTheFile) {
  const Scratch scratch;
  const std::string sound = small().content();
  std::mt19937 random(1);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string content = sound;
    for (int flips = 1 + i % 3; flips > 0; --flips) {
      content[random() % (sound.size() - 64)] = static_cast<char>(random() % 256);  // 64: the data itself
    }
    if (i % 5 == 0) {
      content.resize(random() % content.size());
    }
    put_file(scratch / "m.gguf", content);
    try {
      for (const auto& [name, tensor] : read_gguf(scratch / "m.gguf").tensors) {
        ASSERT_LE(tensor.offset + tensor.bytes, content.size());
      }
    } catch (const Error& e) {
      ASSERT_EQ(e.code(), ExitCode::model);
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);  // the rest changed a name, a value or the padding
}

/// Three parts; the keys are in the first.
std::vector<std::string> parts() {
  std::vector<std::string> out;
  for (std::uint16_t i = 0; i < 3; ++i) {
    GgufWriter part;
    part.raw_key("split.no", 2, bytes_of(i));
    part.raw_key("split.count", 2, bytes_of(std::uint16_t{3}));
    part.raw_key("split.tensors.count", 5, bytes_of(std::int32_t{2}));
    if (i == 0) {
      part.text("general.name", "first");
    } else {
      part.tensor("tensor" + std::to_string(i), {4}, 0, kSixteen);
    }
    out.push_back(part.content());
  }
  return out;
}

TEST(Gguf, SplitFiles) {
  const Scratch scratch;
  const auto put = [&](const std::vector<std::string>& contents) {
    for (std::size_t i = 0; i < 3; ++i) {
      put_file(scratch / ("m-0000" + std::to_string(i + 1) + "-of-00003.gguf"), contents[i]);
    }
  };
  put(parts());
  for (const char* named : {"m-00001-of-00003.gguf", "m-00003-of-00003.gguf"}) {
    const GgufFile file = read_gguf(scratch / named);
    EXPECT_EQ(file.path, scratch / "m-00001-of-00003.gguf");
    EXPECT_EQ(file.parts.size(), 3U);
    EXPECT_EQ(*file.text("general.name"), "first");
    EXPECT_EQ(file.tensors.at("tensor2").file, scratch / "m-00003-of-00003.gguf");
  }
  const auto problem = [&] { return thrown_by([&] { read_gguf(scratch / "m-00001-of-00003.gguf"); }).message; };
  put({parts()[0], parts()[2], parts()[1]});
  EXPECT_THAT(problem(), HasSubstr("say part 3 of 3, the name says part 2 of 3"));
  GgufWriter again;
  again.raw_key("split.no", 2, bytes_of(std::uint16_t{2}));
  again.raw_key("split.count", 2, bytes_of(std::uint16_t{3}));
  again.tensor("tensor1", {4}, 0, kSixteen);
  put({parts()[0], parts()[1], again.content()});
  EXPECT_THAT(problem(), HasSubstr("tensor tensor1 is in an earlier part as well"));
  again.infos.clear();
  again.tensor_count = 0;
  put({parts()[0], parts()[1], again.content()});
  EXPECT_THAT(problem(), HasSubstr("split.tensors.count is 2, and the parts have 1 tensors"));
  put({parts()[0], parts()[1], parts()[2]});
  std::filesystem::remove(scratch / "m-00002-of-00003.gguf");
  EXPECT_THAT(problem(), HasSubstr("one of 3 parts of a model, and m-00002-of-00003.gguf is missing; copy it into the folder"));
  put_file(scratch / "other.gguf", parts()[0]);
  EXPECT_THAT(thrown_by([&] { read_gguf(scratch / "other.gguf"); }).message,
              HasSubstr("whose name must end in -00001-of-00003.gguf"));
}

}  // namespace
}  // namespace lora_dist::gguf_test

// The container of GGUF files, against one put together by hand, and read back.
#include "src/io/write_gguf.h"

#include <gmock/gmock.h>

#include "src/io/gguf.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/scratch.h"

namespace lora_dist::write_gguf_test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::vector<GgufKey> kKeys = {{"general.architecture", std::string("llama")},
                                    {"llama.block_count", std::uint32_t{3}},
                                    {"llama.rope.freq_base", 5e5F},
                                    {"a.flag", true},
                                    {"a.nothing", std::vector<std::string>{}},
                                    {"a.texts", std::vector<std::string>{"x", "", "yz"}},
                                    {"a.scores", std::vector<float>{0.5F, -1.0F}},
                                    {"a.types", std::vector<std::int32_t>{1, 3}},
                                    {"a.pattern", GgufFlags{{true, false}}}};

std::vector<GgufTensorToWrite> two_tensors() {
  return {{"one.weight", find_ggml_type(0), {2, 3}}, {"two.bias", find_ggml_type(1), {5}}};
}

std::vector<std::byte> bytes_of_tensor(const GgufTensorToWrite& tensor) {
  return std::vector<std::byte>(tensor.bytes(), static_cast<std::byte>(tensor.name.size()));
}

TEST(WriteGguf, BytesAreThoseOfTheFormat) {
  const Scratch scratch;
  write_gguf(scratch / "m.gguf", kKeys, two_tensors(), bytes_of_tensor);
  test::GgufWriter expected;
  expected.text("general.architecture", "llama");
  expected.number("llama.block_count", 3);
  expected.real("llama.rope.freq_base", 5e5F);
  expected.flag("a.flag", true);
  expected.texts("a.texts", {"x", "", "yz"});
  expected.list("a.scores", 6, std::vector<float>{0.5F, -1.0F});
  expected.list("a.types", 5, std::vector<std::int32_t>{1, 3});
  expected.list("a.pattern", 7, std::vector<std::uint8_t>{1, 0});
  expected.tensor("one.weight", {3, 2}, 0, std::string(24, '\x0A'));
  expected.tensor("two.bias", {5}, 1, std::string(10, '\x08'));
  EXPECT_EQ(get_file(scratch / "m.gguf"), expected.content());
}

TEST(WriteGguf, AHeaderAloneReadsAsTheWholeFile) {
  const Scratch scratch;
  const std::vector<std::vector<std::byte>> given = {bytes_of_tensor(two_tensors()[0])};
  write_gguf_header(scratch / "h.gguf", kKeys, two_tensors(), given);
  write_gguf(scratch / "m.gguf", kKeys, two_tensors(), bytes_of_tensor);
  EXPECT_EQ(fs::file_size(scratch / "h.gguf"), fs::file_size(scratch / "m.gguf"));
  const GgufFile header = read_gguf(scratch / "h.gguf");
  const GgufFile whole = read_gguf(scratch / "m.gguf");
  EXPECT_EQ(header.values, whole.values);
  EXPECT_EQ(header.tensors.at("two.bias").offset, whole.tensors.at("two.bias").offset);
}

TEST(WriteGguf, NamesThatTheFormatCannotHold) {
  const Scratch scratch;
  const auto refuse = [&](const std::vector<GgufTensorToWrite>& tensors) {
    const Thrown thrown = thrown_by([&] { write_gguf(scratch / "m.gguf", kKeys, tensors, bytes_of_tensor); });
    EXPECT_EQ(thrown.code, ExitCode::model);
    EXPECT_THAT(thrown.message, HasSubstr("is there twice, or has not 1 to 63 bytes"));
    EXPECT_FALSE(fs::exists(scratch / "m.gguf"));
  };
  std::vector<GgufTensorToWrite> tensors = two_tensors();
  tensors[1].name = std::string(64, 'x');
  refuse(tensors);
  tensors[1].name = tensors[0].name;
  refuse(tensors);
}

TEST(WriteGguf, AFailureLeavesNoFile) {
  const Scratch scratch;
  EXPECT_THROW(write_gguf(scratch / "m.gguf", kKeys, two_tensors(),
                          [](const GgufTensorToWrite& tensor) {
                            if (tensor.name == "two.bias") {
                              throw Error(ExitCode::model, "stop");
                            }
                            return bytes_of_tensor(tensor);
                          }),
               Error);
  EXPECT_FALSE(fs::exists(scratch / "m.gguf"));
}

}  // namespace
}  // namespace lora_dist::write_gguf_test

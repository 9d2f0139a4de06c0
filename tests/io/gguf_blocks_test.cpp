// What blocks of each quantized type mean, against gguf-py (tests/golden/make_gguf.py): equal to the bit.
#include "src/io/gguf_blocks.h"

#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "src/io/strict_json.h"
#include "tests/support/source_dir.h"

namespace lora_dist::gguf_blocks_test {
namespace {

std::vector<std::byte> from_hex(const std::string& hex) {
  std::vector<std::byte> out;
  for (std::size_t at = 0; at < hex.size(); at += 2) {
    out.push_back(static_cast<std::byte>(std::stoi(hex.substr(at, 2), nullptr, 16)));
  }
  return out;
}

TEST(GgufBlocks, MeanWhatGgufPyReads) {
  const auto golden = read_json_file(source_dir() / "tests/golden/gguf/blocks.json", ExitCode::internal);
  int types = 0;
  for (const auto& [name, one] : golden["types"].items()) {
    const GgmlType* type = find_ggml_type(one["number"].get<std::uint32_t>());
    ASSERT_NE(type, nullptr) << name;
    EXPECT_EQ(type->name, name);
    const std::vector<std::byte> blocks = from_hex(one["blocks"].get<std::string>());
    const std::vector<std::byte> expected = from_hex(one["values"].get<std::string>());
    std::vector<float> values(expected.size() / 4);
    ASSERT_EQ(std::ssize(values) / type->values * type->bytes, std::ssize(blocks)) << name;
    type->decode(blocks, values);
    for (std::size_t i = 0; i < values.size(); ++i) {
      float wanted = 0.0F;
      std::memcpy(&wanted, expected.data() + i * 4, 4);
      ASSERT_EQ(values[i], wanted) << name << " value " << i;
    }
    ++types;
  }
  EXPECT_EQ(types, 13);
}

TEST(GgufBlocks, OtherTypesAreKnownByName) {
  EXPECT_EQ(find_ggml_type(16)->name, "IQ2_XXS");
  EXPECT_EQ(find_ggml_type(16)->bytes, 0);
  EXPECT_EQ(find_ggml_type(4), nullptr);  // gone from the format
}

}  // namespace
}  // namespace lora_dist::gguf_blocks_test

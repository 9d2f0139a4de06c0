// Blocks of every type that is written, against llama.cpp's reference quantizer (tests/golden/make_gguf_quantized.py): equal to
// the byte.
#include "src/io/gguf_quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "src/io/strict_json.h"
#include "tests/support/source_dir.h"

namespace lora_dist::gguf_quantize_test {
namespace {

std::vector<std::byte> from_hex(const std::string& hex) {
  std::vector<std::byte> out;
  for (std::size_t at = 0; at < hex.size(); at += 2) {
    out.push_back(static_cast<std::byte>(std::stoi(hex.substr(at, 2), nullptr, 16)));
  }
  return out;
}

std::vector<float> floats(const std::vector<std::byte>& bytes) {
  std::vector<float> out(bytes.size() / sizeof(float));
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return out;
}

Stream threads(int count) {
  Stream stream;
  stream.threads = count;
  return stream;
}

TEST(GgufQuantize, BytesAreTheReferences) {
  const auto golden = read_json_file(source_dir() / "tests/golden/gguf/quantized.json", ExitCode::internal);
  int cases = 0;
  for (const auto& [name, type] : golden["types"].items()) {
    for (const auto& [vector, hex] : type["blocks"].items()) {
      const std::vector<float> values = floats(from_hex(golden["vectors"][vector].get<std::string>()));
      EXPECT_EQ(encode_ggml(*find_ggml_type(type["number"].get<std::uint32_t>()), values, threads(1)),
                from_hex(hex.get<std::string>()))
          << name << " of " << vector;
      ++cases;
    }
  }
  EXPECT_EQ(cases, 6 * 15);
}

TEST(GgufQuantize, ThreadsDoNotChangeBytes) {
  std::vector<float> values(std::size_t{256} * 2000);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = std::sin(static_cast<float>(i * i % 10007));
  }
  const GgmlType& type = *find_ggml_type(12);
  EXPECT_EQ(encode_ggml(type, values, threads(1)), encode_ggml(type, values, threads(3)));
}

TEST(GgufQuantize, FloatsRoundToNearest) {
  const std::vector<float> values = {1.0F, 1.00048828125F, 65504.0F, -0.1F};
  EXPECT_EQ(encode_ggml(*find_ggml_type(1), values, threads(1)), from_hex("003c003cff7b66ae"));
  EXPECT_EQ(encode_ggml(*find_ggml_type(30), values, threads(1)), from_hex("803f803f8047cdbd"));
}

TEST(GgufQuantize, ValuesBeyondHalfPrecisionAreFound) {
  std::vector<float> values(256, 1.0F);
  for (const std::uint32_t number : {1U, 8U, 12U}) {
    const GgmlType& type = *find_ggml_type(number);
    EXPECT_TRUE(is_in_range(type, encode_ggml(type, values, threads(1)), threads(1))) << type.name;
  }
  values[200] = 1e8F;
  for (const std::uint32_t number : {1U, 8U, 12U}) {
    const GgmlType& type = *find_ggml_type(number);
    EXPECT_FALSE(is_in_range(type, encode_ggml(type, values, threads(1)), threads(1))) << type.name;
  }
  const GgmlType& wide = *find_ggml_type(30);
  EXPECT_TRUE(is_in_range(wide, encode_ggml(wide, values, threads(1)), threads(1)));
}

TEST(GgufQuantize, OtherTypesAreNotWritten) {
  EXPECT_TRUE(can_encode(*find_ggml_type(14)));
  EXPECT_FALSE(can_encode(*find_ggml_type(2)));
}

}  // namespace
}  // namespace lora_dist::gguf_quantize_test

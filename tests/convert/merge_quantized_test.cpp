// The plain folder of a bitsandbytes-quantized folder. (tests/program/base_formats_test.cpp compares the scores.)
#include "src/convert/merge_quantized.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"

namespace lora_dist::merge_quantized_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

fs::path golden(const std::string& name) { return fs::path(LORA_DIST_SOURCE_DIR) / "tests/golden/prequantized" / name; }

QuantizedModel plain_model(const ModelSpec& spec, const TensorDirectory& directory) {
  return as_plain_model(spec, directory, check_model_tensors(spec, directory));
}

TEST(PlainModel, HasTheTensorsOfAnUnquantizedFolder) {
  for (const std::string name : {"llama_nf4_nested", "gpt2_fp4_in_bf16", "qwen2_fp4_nested_in_f32"}) {
    const ModelSpec spec = read_model_config(golden(name));
    const TensorDirectory directory = read_model_directory(golden(name));
    const QuantizedModel model = plain_model(spec, directory);
    std::vector<std::string> expected;
    for (const ModelTensor& tensor : model_tensors(spec)) {
      EXPECT_EQ(find_tensor(spec, model.plain, tensor).dtype, DType::f32) << tensor.name;
      expected.push_back(tensor.name);
    }
    EXPECT_EQ(model.plain.tensors.size(), expected.size());
  }
}

TEST(PlainModel, WithoutAnAdapterItsFileHoldsTheDequantizedWeights) {
  const Scratch scratch;
  const fs::path folder = golden("gpt2_fp4_in_bf16");
  const TensorDirectory directory = read_model_directory(folder);
  const QuantizedModel model = plain_model(read_model_config(folder), directory);
  const MergeSums sums = merge_quantized_file(model, folder / "model.safetensors", scratch / "model.safetensors", {}, Stream{});
  EXPECT_EQ(sums.tensors, 0);
  EXPECT_EQ(sums.update, 0.0);
  EXPECT_EQ(sums.rounding, 0.0);
  const TensorDirectory written = read_safetensors_header(scratch / "model.safetensors");
  const std::string name = "transformer.h.1.mlp.c_fc.weight";
  const TensorInfo& tensor = written.tensors.at(name);
  EXPECT_EQ(tensor.shape, (std::vector<std::int64_t>{32, 128}));  // [in, out], and quantized as [out, in]
  std::vector<float> values(32 * 128);
  read_tensor_bytes(tensor, 0, std::as_writable_bytes(std::span(values)));
  const TensorInfo& codes = directory.tensors.at(name);
  std::vector<std::uint8_t> bytes(codes.bytes);
  read_tensor_bytes(codes, 0, std::as_writable_bytes(std::span(bytes)));
  std::vector<float> absmax(32 * 128 / 64);
  read_tensor_bytes(directory.tensors.at(name + ".absmax"), 0, std::as_writable_bytes(std::span(absmax)));
  for (std::size_t out = 0; out < 128; ++out) {
    for (std::size_t in = 0; in < 32; ++in) {
      const std::size_t i = out * 32 + in;
      const unsigned code = i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2] & 15U;
      ASSERT_EQ(values[in * 128 + out], kFp4Code[code] * absmax[i / 64]) << out << ", " << in;
    }
  }
}

TEST(PlainModel, AnIndexNamesItsTensorsAlone) {
  const Scratch scratch;
  const fs::path folder = golden("llama_nf4_nested");
  fs::create_directories(scratch / "in");
  fs::create_directories(scratch / "out");
  fs::copy_file(folder / "config.json", scratch / "in/config.json");
  fs::copy_file(folder / "model.safetensors", scratch / "in/model-00001-of-00001.safetensors");
  json index = {{"metadata", {{"total_size", 1}}}, {"weight_map", json::object()}};
  for (const auto& [name, tensor] : read_safetensors_header(folder / "model.safetensors").tensors) {
    index["weight_map"][name] = "model-00001-of-00001.safetensors";
  }
  put_file(scratch / "in/model.safetensors.index.json", index.dump());
  const TensorDirectory directory = read_model_directory(scratch / "in");
  const ModelSpec spec = read_model_config(scratch / "in");
  const QuantizedModel model = plain_model(spec, directory);
  write_plain_descriptions(model, scratch / "in", scratch / "out");
  const json written = json::parse(get_file(scratch / "out/model.safetensors.index.json"));
  EXPECT_EQ(written["metadata"]["total_size"], parameter_count(spec) * 4);
  EXPECT_EQ(written["weight_map"].size(), model_tensors(spec).size());
  EXPECT_EQ(written["weight_map"]["model.layers.0.mlp.up_proj.weight"], "model-00001-of-00001.safetensors");
  EXPECT_FALSE(json::parse(get_file(scratch / "out/config.json")).contains("quantization_config"));
}

TEST(PlainModel, AnUnknownTypeIsRefused) {
  const Scratch scratch;
  fs::copy_file(golden("llama_nf4_nested") / "config.json", scratch / "config.json");
  std::string file = get_file(golden("llama_nf4_nested") / "model.safetensors");
  const std::string was = "\"dtype\": \"float32\"";
  for (std::size_t at = file.find(was); at != std::string::npos; at = file.find(was, at + 1)) {
    file.replace(at, was.size(), "\"dtype\": \"float64\"");
  }
  put_file(scratch / "model.safetensors", file);
  const ModelSpec spec = read_model_config(scratch.path());
  const TensorDirectory directory = read_model_directory(scratch.path());
  const Thrown error = thrown_by([&] { plain_model(spec, directory); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, HasSubstr("was float64 before it was quantized; float32, float16 and bfloat16 can be written"));
}

}  // namespace
}  // namespace lora_dist::merge_quantized_test

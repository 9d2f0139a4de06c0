// The safetensors of a model folder: one file, shards with an index, and errors.
#include <gmock/gmock.h>

#include "src/io/safetensors.h"
#include "tests/support/scratch.h"

namespace lora_dist::model_directory_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<float> kOne = {1};

void put_tensor(const std::filesystem::path& file, const std::string& name) {
  write_safetensors(file, {{name, DType::f32, {1}, std::as_bytes(std::span(kOne))}});
}

void put_index(const Scratch& folder, const std::string& weight_map) {
  put_file(folder / "model.safetensors.index.json", R"({"metadata":{"total_size":8},"weight_map":)" + weight_map + "}");
}

std::string problem_of(const Scratch& folder) {
  const Thrown error = thrown_by([&] { read_model_directory(folder.path()); });
  EXPECT_EQ(error.code, ExitCode::model);
  return error.message;
}

TEST(ModelDirectory, OneFile) {
  const Scratch folder;
  put_tensor(folder / "model.safetensors", "a");
  const TensorDirectory directory = read_model_directory(folder.path());
  EXPECT_TRUE(directory.tensors.contains("a"));
  EXPECT_EQ(directory.metadata.at("format"), "pt");
}

TEST(ModelDirectory, IndexOfSeveralFiles) {
  const Scratch folder;
  put_tensor(folder / "model-00001-of-00002.safetensors", "b");
  put_tensor(folder / "model-00002-of-00002.safetensors", "a");
  put_index(folder, R"({"a":"model-00002-of-00002.safetensors","b":"model-00001-of-00002.safetensors"})");
  const TensorDirectory directory = read_model_directory(folder.path());
  EXPECT_EQ(directory.tensors.at("a").file, folder / "model-00002-of-00002.safetensors");
  EXPECT_EQ(directory.tensors.at("b").file, folder / "model-00001-of-00002.safetensors");
  EXPECT_THAT(directory.files,
              ElementsAre(folder / "model-00001-of-00002.safetensors", folder / "model-00002-of-00002.safetensors"));
}

/// As in transformers, which reads all of a file that the index names.
TEST(ModelDirectory, TensorsThatTheIndexLeavesOutAreThereWithAWarning) {
  const Scratch folder;
  put_tensor(folder / "1.safetensors", "a");
  write_safetensors(folder / "2.safetensors", {{"b", DType::f32, {1}, std::as_bytes(std::span(kOne))},
                                               {"c", DType::f32, {1}, std::as_bytes(std::span(kOne))}});
  const std::string index = (folder / "model.safetensors.index.json").string();
  put_index(folder, R"({"a":"1.safetensors","b":"2.safetensors","c":"2.safetensors"})");
  EXPECT_THAT(read_model_directory(folder.path()).warnings, IsEmpty());
  put_index(folder, R"({"a":"1.safetensors","b":"2.safetensors"})");
  const TensorDirectory one = read_model_directory(folder.path());
  EXPECT_TRUE(one.tensors.contains("c"));
  EXPECT_THAT(one.warnings, ElementsAre(index + " leaves out 1 tensor of the files that it names; the first is c in "
                                                "2.safetensors. They are read like the others"));
  write_safetensors(folder / "1.safetensors", {{"a", DType::f32, {1}, std::as_bytes(std::span(kOne))},
                                               {"a2", DType::f32, {1}, std::as_bytes(std::span(kOne))}});
  EXPECT_THAT(read_model_directory(folder.path()).warnings,
              ElementsAre(index + " leaves out 2 tensors of the files that it names; the first is a2 in 1.safetensors. They are "
                                  "read like the others"));
}

TEST(ModelDirectory, ALyingIndex) {
  const Scratch folder;
  put_tensor(folder / "1.safetensors", "a");
  put_tensor(folder / "2.safetensors", "b");
  put_index(folder, R"({"a":"1.safetensors","b":"3.safetensors"})");
  EXPECT_THAT(problem_of(folder), HasSubstr("puts tensor b in 3.safetensors, which is missing; copy it into the folder"));
  put_index(folder, R"({"a":"1.safetensors","c":"2.safetensors"})");
  EXPECT_THAT(problem_of(folder), HasSubstr("puts tensor c in 2.safetensors, which does not have it"));
  put_index(folder, R"({"a":"2.safetensors","b":"1.safetensors"})");
  EXPECT_THAT(problem_of(folder), HasSubstr("puts tensor a in 2.safetensors, which does not have it"));
  put_tensor(folder / "2.safetensors", "a");
  put_index(folder, R"({"a":"1.safetensors","b":"2.safetensors"})");
  EXPECT_THAT(problem_of(folder), HasSubstr("tensor a is both in "));
  for (const char* name :
       {R"("../1.safetensors")", R"("/etc/passwd")", R"("")", R"("..")", R"("x/1.safetensors")", "1", "null", R"("1\u0000")"}) {
    put_index(folder, std::string("{\"a\":") + name + "}");
    EXPECT_THAT(problem_of(folder), HasSubstr("weight_map gives tensor a no plain file name")) << name;
  }
  put_index(folder, "[]");
  EXPECT_THAT(problem_of(folder), HasSubstr("has no object weight_map"));
  put_index(folder, "{}");
  EXPECT_THAT(problem_of(folder), HasSubstr("holds no tensors"));
  put_index(folder, R"({"a":"1.safetensors","a":"1.safetensors"})");
  EXPECT_THAT(problem_of(folder), HasSubstr("the key \"a\" is given twice"));
}

TEST(ModelDirectory, OtherFormatsGetAUsefulMessage) {
  const auto problem_with = [](const std::string& file) {
    const Scratch folder;
    put_file(folder / file, "x");
    return problem_of(folder);
  };
  EXPECT_THAT(problem_with("pytorch_model.bin"), HasSubstr("AutoModelForCausalLM.from_pretrained("));
  EXPECT_THAT(problem_with("pytorch_model-00001-of-00002.bin"), HasSubstr("which only Python can read"));
  EXPECT_THAT(problem_with("model-Q4_K_M.gguf"), HasSubstr("it does not begin with GGUF"));
  EXPECT_THAT(problem_with("adapter_model.safetensors"),
              HasSubstr("holds an adapter (adapter_model.safetensors) and no base model"));
  EXPECT_THAT(problem_with("model-00001-of-00002.safetensors"),
              HasSubstr("no model.safetensors.index.json; copy the index file too"));
  EXPECT_THAT(problem_with("readme.txt"), HasSubstr("a Hugging Face model folder is needed"));
  EXPECT_EQ(thrown_by([] { read_model_directory("/no/such/folder"); }).message,
            "cannot open the model folder /no/such/folder: No such file or directory");
}

TEST(ModelDirectory, WeightsThatOthersQuantizedAreNamed) {
  const auto problem_with = [](const std::string& part) {
    const Scratch folder;
    put_tensor(folder / "model.safetensors", "model.layers.0.mlp.up_proj" + part);
    return problem_of(folder);
  };
  EXPECT_THAT(problem_with(".SCB"), HasSubstr("holds weights already quantized by bitsandbytes in 8 bits (model.layers.0.mlp"
                                              ".up_proj.SCB), which cannot be read"));
  EXPECT_THAT(problem_with(".qweight"), HasSubstr("quantized by GPTQ or AWQ"));
  EXPECT_THAT(problem_with(".weight_packed"), HasSubstr("quantized by compressed-tensors"));
  EXPECT_THAT(problem_with(".weight_scale"), HasSubstr("quantized by compressed-tensors or in fp8"));
}

}  // namespace
}  // namespace lora_dist::model_directory_test

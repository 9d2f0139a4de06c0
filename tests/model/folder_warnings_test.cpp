// Tensors of a folder that config.json does not imply.
#include "src/model/folder_warnings.h"

#include <gmock/gmock.h>

#include "tests/support/model_fixture.h"

namespace lora_dist::folder_warnings_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

/// The tensors of a golden folder and some more.
TensorDirectory with(const std::filesystem::path& folder, const std::vector<std::string>& more) {
  TensorDirectory directory = read_model_directory(folder);
  for (const std::string& name : more) {
    TensorInfo tensor;
    tensor.name = name;
    directory.tensors.emplace(name, tensor);
  }
  return directory;
}

TEST(FolderWarnings, NoneForTheFoldersThatEverybodyHas) {
  for (const char* name : {"families/llama3", "families/gpt2_bare", "families/gpt_neox_parallel", "families/exaone3",
                           "families/exaone4_hybrid", "prequantized/llama_nf4_nested", "prequantized/gpt2_fp4_in_bf16",
                           "prequantized/qwen2_fp4_nested_in_f32", "tiny_llama_bias"}) {
    const auto folder = test::source("tests/golden") / name;
    EXPECT_THAT(folder_warnings(read_model_config(folder), read_model_directory(folder)), IsEmpty()) << name;
  }
}

/// A tied head of other weights than the embedding's: transformers 4 drops it, transformers 5 takes it.
TEST(FolderWarnings, AHeadThatIsNotTheEmbedding) {
  const auto folder = test::source("tests/golden/families/llama3");
  const ModelSpec spec = read_model_config(folder);
  ASSERT_TRUE(spec.tied_head);
  TensorDirectory directory = read_model_directory(folder);
  TensorInfo head = directory.tensors.at("model.embed_tokens.weight");
  head.name = "lm_head.weight";
  directory.tensors[head.name] = head;
  EXPECT_THAT(folder_warnings(spec, directory), IsEmpty());  // a copy
  TensorInfo& other = directory.tensors[head.name];
  other.offset = directory.tensors.at("model.layers.0.mlp.down_proj.weight").offset;
  EXPECT_THAT(folder_warnings(spec, directory),
              ElementsAre(testing::AllOf(testing::HasSubstr("lm_head.weight is not used, since config.json ties the head to "
                                                            "model.embed_tokens.weight"),
                                         testing::HasSubstr("\"tie_word_embeddings\""))));
}

TEST(FolderWarnings, NoneForWhatOldFilesHoldBesides) {
  const auto llama = test::source("tests/golden/families/llama3");
  EXPECT_THAT(
      unused_tensors(read_model_config(llama), with(llama, {"model.layers.0.self_attn.rotary_emb.inv_freq", "lm_head.weight"})),
      IsEmpty());  // its head is tied
  const auto neox = test::source("tests/golden/families/gpt_neox_parallel");
  EXPECT_THAT(unused_tensors(read_model_config(neox),
                             with(neox, {"gpt_neox.layers.0.attention.bias", "gpt_neox.layers.0.attention.masked_bias",
                                         "gpt_neox.layers.0.attention.rotary_emb.inv_freq"})),
              IsEmpty());
  const auto gpt2 = test::source("tests/golden/families/gpt2");
  EXPECT_THAT(
      unused_tensors(read_model_config(gpt2), with(gpt2, {"transformer.h.1.attn.bias", "transformer.h.1.attn.masked_bias"})),
      IsEmpty());
}

TEST(FolderWarnings, BlocksThatConfigJsonDoesNotCountComeByTheirNumber) {
  const auto folder = test::source("tests/golden/families/mistral_window");
  ModelSpec spec = read_model_config(folder);
  const TensorDirectory directory =
      with(folder, {"model.layers.10.mlp.up_proj.weight", "model.layers.9.mlp.up_proj.weight", "layers.11.mlp.up_proj.weight",
                    "a.weight", "model.layers.0.self_attn.q_proj.bias"});
  EXPECT_THAT(unused_tensors(spec, directory),
              ElementsAre("model.layers.9.mlp.up_proj.weight", "model.layers.10.mlp.up_proj.weight",
                          "layers.11.mlp.up_proj.weight", "a.weight", "model.layers.0.self_attn.q_proj.bias"));
  EXPECT_THAT(
      folder_warnings(spec, directory),
      ElementsAre(folder.string() + ": 5 of its tensors are not used; the first is model.layers.9.mlp.up_proj.weight, and "
                                    "config.json says 2 blocks"));
  spec.layers = 1;
  EXPECT_THAT(
      folder_warnings(spec, read_model_directory(folder)),
      ElementsAre(folder.string() + ": 9 of its tensors are not used; the first is model.layers.1.input_layernorm.weight, "
                                    "and config.json says 1 block"));
}

TEST(FolderWarnings, OtherTensorsAreNamed) {
  const auto folder = test::source("tests/golden/families/mistral_window");
  ModelSpec spec = read_model_config(folder);
  spec.warnings = {"of config.json"};
  TensorDirectory directory = with(folder, {"model.layers.0.self_attn.q_proj.bias"});
  directory.warnings = {"of the index"};
  EXPECT_THAT(folder_warnings(spec, directory),
              ElementsAre("of config.json", "of the index",
                          folder.string() + ": 1 of its tensors is not used; the first is model.layers.0.self_attn.q_proj.bias, "
                                            "which config.json does not imply"));
}

/// Codes of bitsandbytes in a block that is not used: each of their parts counts.
TEST(FolderWarnings, PartsOfQuantizedWeightsBelongToTheirWeight) {
  const auto folder = test::source("tests/golden/prequantized/qwen2_fp4_nested_in_f32");
  ModelSpec spec = read_model_config(folder);
  spec.layers = 1;
  const std::vector<std::string> unused = unused_tensors(spec, read_model_directory(folder));
  EXPECT_GT(unused.size(), 7U * 5U);
  for (const std::string& name : unused) {
    EXPECT_THAT(name, StartsWith("model.layers.1."));
  }
}

}  // namespace
}  // namespace lora_dist::folder_warnings_test

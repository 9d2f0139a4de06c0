// PEFT's folders with trained modules and tokens: read back as they were written, and what is said of damaged ones.
#include "src/adapter/trained_modules_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/adapter/adapter_bridge.h"
#include "tests/support/scratch.h"

namespace lora_dist::trained_modules_folder_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

fs::path golden(const std::string& name) {
  return fs::path(LORA_DIST_SOURCE_DIR) / "tests/golden/methods" / name / "adapter_none";
}

ModelSpec model_of(const std::string& family, std::int64_t added = 0) {
  ModelSpec model = read_model_config(fs::path(LORA_DIST_SOURCE_DIR) / "tests/golden/families" / family);
  model.added_rows = added;
  model.vocab += added;
  return model;
}

/// A copy of a golden folder with other values of adapter_config.json, and without the tensors whose names have `left_out`.
fs::path changed(const Scratch& scratch, const std::string& name, const json& values, const std::string& left_out = "-") {
  json config = json::parse(get_file(golden(name) / "adapter_config.json"));
  config.update(values);
  put_file(scratch / "adapter_config.json", config.dump());
  std::vector<TensorToWrite> tensors;
  std::vector<std::vector<std::byte>> bytes;
  const TensorDirectory held = read_safetensors_header(golden(name) / "adapter_model.safetensors");
  bytes.reserve(held.tensors.size());
  for (const auto& [tensor, info] : held.tensors) {
    if (tensor.find(left_out) == std::string::npos) {
      read_tensor_bytes(info, 0, bytes.emplace_back(info.bytes));
      tensors.push_back({tensor, info.dtype, info.shape, bytes.back()});
    }
  }
  write_safetensors(scratch / "adapter_model.safetensors", std::move(tensors));
  return scratch.path();
}

std::string problem_of(const fs::path& folder, const ModelSpec& model) {
  const Thrown error = thrown_by([&] { layout_of(read_peft_adapter(folder), model, folder.string()); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, HasSubstr(folder.string()));
  return error.message;
}

/// PEFT keeps the order that the user wrote; here ids rise.
TEST(TrainedModulesFolder, RowsFollowTheirIds) {
  const PeftAdapter adapter = read_peft_adapter(golden("tokens_llama3"));
  EXPECT_THAT(adapter.config.token_indices.at(""), ElementsAre(5, 17, 90));  // in the file 90, 5, 17
  const std::string name = "model.embed_tokens.token_adapter.trainable_tokens_delta";
  const AdapterMatrix& ours = adapter.replaced.at(name);
  const TensorDirectory file = read_safetensors_header(golden("tokens_llama3") / "adapter_model.safetensors");
  const TensorInfo& theirs = file.tensors.at("base_model.model." + name);
  const std::vector<float> rows = read_floats(theirs, 0, theirs.shape[0] * theirs.shape[1]);
  const auto width = static_cast<std::ptrdiff_t>(theirs.shape[1]);
  EXPECT_TRUE(std::equal(rows.begin(), rows.begin() + width, ours.values.begin() + 2 * width));
  EXPECT_TRUE(std::equal(rows.begin() + width, rows.end(), ours.values.begin()));
}

TEST(TrainedModulesFolder, WrittenFoldersAreReadBack) {
  for (const auto& [name, family] :
       {std::pair{"saved_qwen3", "qwen3"}, {"saved_gpt2", "gpt2"}, {"saved_tied_gemma2", "gemma2"}, {"tokens_qwen3", "qwen3"}}) {
    const Scratch scratch;
    const PeftAdapter read = read_peft_adapter(golden(name));
    const AdapterLayout layout = layout_of(read, model_of(family), name);
    std::vector<float> params(static_cast<std::size_t>(layout.count));
    copy_parameters(read, layout, params);
    write_peft_adapter(scratch / "out", read.config, folder_tensors(layout), params);
    const PeftAdapter again = read_peft_adapter(scratch / "out");
    EXPECT_EQ(again.config.modules_to_save, read.config.modules_to_save);
    EXPECT_EQ(again.config.ensure_weight_tying, read.config.ensure_weight_tying);
    EXPECT_EQ(again.config.token_indices, read.config.token_indices);
    ASSERT_EQ(again.replaced.size(), read.replaced.size()) << name;
    for (const auto& [tensor, matrix] : read.replaced) {
      EXPECT_EQ(again.replaced.at(tensor).values, matrix.values) << name << " " << tensor;
    }
  }
}

TEST(TrainedModulesFolder, DamagedOnesAreNamed) {
  const Scratch scratch;
  const ModelSpec llama = model_of("llama3");
  EXPECT_THAT(problem_of(changed(scratch, "tokens_llama3", {{"trainable_token_indices", {5, 17}}}), llama),
              HasSubstr("base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta has 3 rows, and "
                        "trainable_token_indices of adapter_config.json other numbers of tokens"));
  EXPECT_THAT(
      problem_of(changed(scratch, "tokens_llama3", {{"trainable_token_indices", {5, 17, 97}}}), llama),
      HasSubstr("adapter_config.json: trainable_token_indices: 97 is not the id of a token; this model has ids from 0 to 96"));
  EXPECT_THAT(problem_of(changed(scratch, "tokens_llama3", json::object(), "token_adapter"), llama),
              HasSubstr("there is no tensor base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta, which "
                        "adapter_config.json promises"));
  EXPECT_THAT(
      problem_of(changed(scratch, "tokens_llama3", {{"trainable_token_indices", {{"score", {5, 17, 90}}}}}, "token_adapter"),
                 llama),
      HasSubstr("trainable_token_indices names score, which is neither the embedding nor the head of this model"));
  const json both = {{"trainable_token_indices", {{"embed_tokens", {5, 17, 90}}, {"lm_head", {5, 17, 91}}}}};
  EXPECT_THAT(problem_of(changed(scratch, "tokens_llama3", both), llama),
              HasSubstr("trainable_token_indices has other tokens for the head than for the embedding, which are one table"));
  EXPECT_THAT(problem_of(changed(scratch, "saved_qwen3", {{"modules_to_save", {"score"}}}, "norm"), model_of("qwen3")),
              HasSubstr("adapter_config.json: modules_to_save: \"score\" matches no module of this qwen3 model"));
  EXPECT_THAT(problem_of(golden("saved_qwen3"), model_of("qwen3", 2)),
              HasSubstr("base_model.model.model.embed_tokens.weight has shape [103, 40], this model needs [105, 40]"));
}

/// A tied table has two names, and one content.
TEST(TrainedModulesFolder, TiedTablesAreEqual) {
  const Scratch scratch;
  const fs::path folder = changed(scratch, "saved_tied_gemma2", json::object());
  const TensorDirectory held = read_safetensors_header(folder / "adapter_model.safetensors");
  std::string bytes = get_file(folder / "adapter_model.safetensors");
  const std::size_t last = held.tensors.at("base_model.model.lm_head.weight").offset;
  bytes[last + 1] = static_cast<char>(bytes[last + 1] ^ 0x40);
  put_file(folder / "adapter_model.safetensors", bytes);
  EXPECT_THAT(
      problem_of(folder, model_of("gemma2")),
      HasSubstr("base_model.model.model.embed_tokens.weight and base_model.model.lm_head.weight differ, and are one table"));
}

TEST(TrainedModulesFolder, EveryAddedRowIsTrained) {
  const Scratch scratch;
  EXPECT_EQ(vocabulary_rows(golden("new_tokens_qwen3")), 106);
  EXPECT_EQ(vocabulary_rows(golden("saved_new_tokens_qwen3")), 106);
  EXPECT_EQ(vocabulary_rows(golden("tokens_qwen3")), 92);
  EXPECT_EQ(vocabulary_rows(golden("saved_gpt2")), 95);
  EXPECT_THAT(problem_of(golden("new_tokens_qwen3"), model_of("qwen3", 5)),
              HasSubstr("it has 108 token ids, the model 103, and it trains no row of model.embed_tokens for id 106"));
  const json embedding_alone = {{"trainable_token_indices", {103, 104, 105}}};
  EXPECT_THAT(
      problem_of(changed(scratch, "new_tokens_qwen3", embedding_alone, "lm_head"), model_of("qwen3", 3)),
      HasSubstr("it trains no row of lm_head for id 103; an adapter of a larger vocabulary needs all new rows of embedding and "
                "head among its trained tokens or modules_to_save"));
}

}  // namespace
}  // namespace lora_dist::trained_modules_folder_test

// PEFT's adapters of every model family (tests/golden/families): they match the model, with PEFT's count of parameters.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "src/adapter/adapter_bridge.h"
#include "src/core/error.h"

namespace lora_dist::family_adapters_test {
namespace {

namespace fs = std::filesystem;

const fs::path& families() {
  static const fs::path folder = fs::path(LORA_DIST_SOURCE_DIR) / "tests/golden/families";
  return folder;
}

class FamilyAdapters : public testing::TestWithParam<const char*> {};

TEST_P(FamilyAdapters, FitAndAreCountedAsPeftCounts) {
  const fs::path folder = families() / GetParam();
  const ModelSpec spec = read_model_config(folder);
  const PeftAdapter adapter = read_peft_adapter(folder / "adapter_init");
  const AdapterLayout layout = layout_of(adapter, spec, "adapter_init");
  EXPECT_EQ(adapter_tensors(layout).size(), adapter.tensors.size());
  std::ifstream golden(folder / "golden.json");
  EXPECT_EQ(trainable_line(layout, spec), nlohmann::json::parse(golden)["trainable"].get<std::string>());
}

INSTANTIATE_TEST_SUITE_P(Models, FamilyAdapters,
                         testing::Values("llama3", "mistral_window", "qwen2_window", "qwen3", "gemma", "gpt2", "gpt2_bare",
                                         "gpt_neox_parallel", "gpt_neox_serial", "exaone3", "exaone4_hybrid", "exaone4_global",
                                         "gemma3", "gemma2", "phi3", "phi3_window", "smollm3", "granite", "glm4", "hyperclovax",
                                         "hyperclovax_plain", "cohere2", "ministral3", "stablelm", "stablelm_parallel",
                                         "starcoder2", "nemotron", "olmo2", "olmo3", "internlm3"),
                         [](const auto& info) { return std::string(info.param); });

TEST(FamilyAdapters, OfAnotherFamilyIsRefused) {
  const PeftAdapter adapter = read_peft_adapter(families() / "gpt2/adapter_init");
  try {
    layout_of(adapter, read_model_config(families() / "llama3"), "folder");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::model);
    EXPECT_NE(std::string(error.what()).find("tensor transformer.h.0.attn.c_attn.lora_A has no place in this model"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace lora_dist::family_adapters_test

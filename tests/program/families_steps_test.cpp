// Eight steps of LoRA on a tiny model of every family, against transformers + PEFT (tests/golden/families).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/program/family_runs.h"

namespace lora_dist::program::families_steps_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class FamilySteps : public testing::TestWithParam<const char*> {};

TEST_P(FamilySteps, FollowTransformersAndPeft) {
  const fs::path model = source("tests/golden/families") / GetParam();
  const json golden = read_json(model / "golden.json");
  const Scratch scratch;
  const fs::path rows = training_rows(model, scratch / "train.jsonl");
  for (const std::string quantization : {"none", "nf4"}) {
    const fs::path output = scratch / quantization;
    expect_success(launch_of(steps_of(model, quantization, rows, output), quantization == "none" ? 1 : 2));
    const double loss = loss_difference(output, golden[quantization]["losses"]);
    const PeftAdapter ours = read_peft_adapter(output / "adapter");
    const PeftAdapter theirs = read_peft_adapter(model / ("adapter_" + quantization));
    const double adapter = largest_difference(ours, theirs);
    EXPECT_LE(loss, 5e-5);
    EXPECT_LE(adapter, 1e-3);  // AdamW divides small gradients by their own size
    EXPECT_EQ(ours.config.fan_in_fan_out, std::string(GetParam()).starts_with("gpt2"));
    std::printf("%-18s %-4s: largest difference of loss %.2e, of the adapter %.2e\n", GetParam(), quantization.c_str(), loss,
                adapter);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, FamilySteps,
                         testing::Values("llama3", "mistral_window", "qwen2_window", "qwen3", "gemma", "gpt2", "gpt2_bare",
                                         "gpt_neox_parallel", "gpt_neox_serial", "exaone3", "exaone4_hybrid", "exaone4_global",
                                         "gemma3", "gemma2", "phi3", "phi3_window", "smollm3", "granite", "glm4", "hyperclovax",
                                         "hyperclovax_plain", "cohere2", "ministral3", "stablelm", "stablelm_parallel",
                                         "starcoder2", "nemotron", "olmo2", "olmo3", "internlm3"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lora_dist::program::families_steps_test

// Keys of GGUF files, and models that such a file cannot hold.
#include "src/convert/gguf_model_keys.h"

#include <gmock/gmock.h>

#include "src/convert/gguf_rope_keys.h"
#include "src/convert/write_gguf_model.h"
#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"

namespace lora_dist::gguf_model_keys_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

ModelSpec spec_of(const std::string& family) { return read_model_config(source_dir() / "tests/golden/families" / family); }

std::optional<GgufKeyValue> value_of(const std::vector<GgufKey>& keys, const std::string& name) {
  for (const GgufKey& key : keys) {
    if (key.name == name) {
      return key.value;
    }
  }
  return std::nullopt;
}

TEST(GgufModelKeys, AreThoseOfTheArchitecture) {
  const ModelSpec spec = read_model_config(demo_model());
  const std::vector<GgufKey> keys = gguf_model_keys(spec, "demo", GgufFileType::q8_0);
  EXPECT_EQ(value_of(keys, "general.architecture"), GgufKeyValue(std::string("llama")));
  EXPECT_EQ(value_of(keys, "general.name"), GgufKeyValue(std::string("demo")));
  EXPECT_EQ(value_of(keys, "general.size_label"), GgufKeyValue(std::string("260K")));
  EXPECT_EQ(value_of(keys, "general.file_type"), GgufKeyValue(std::uint32_t{7}));
  EXPECT_EQ(value_of(keys, "llama.attention.head_count_kv"), GgufKeyValue(std::uint32_t{4}));
  EXPECT_EQ(value_of(keys, "llama.attention.layer_norm_rms_epsilon"), GgufKeyValue(1e-5F));
  EXPECT_EQ(value_of(keys, "llama.rope.freq_base"), GgufKeyValue(1e4F));
  EXPECT_FALSE(value_of(keys, "llama.rope.scaling.type"));
  const std::vector<GgufKey> neox = gguf_model_keys(spec_of("gpt_neox_serial"), "x", GgufFileType::f32);
  EXPECT_EQ(value_of(neox, "gptneox.use_parallel_residual"), GgufKeyValue(false));
  EXPECT_FALSE(value_of(neox, "gptneox.attention.head_count_kv"));
  ModelSpec stretched = spec;
  stretched.rope.type = "linear";
  stretched.rope.factor = 4.0;
  EXPECT_EQ(value_of(gguf_model_keys(stretched, "x", GgufFileType::f32), "llama.rope.scaling.factor"), GgufKeyValue(4.0F));
}

TEST(GgufModelKeys, SizeLabelsAreGgufPys) {
  ModelSpec spec = read_model_config(demo_model());
  const auto label = [&](std::int64_t layers, std::int64_t width) {
    spec.layers = layers;
    spec.intermediate = width;
    return std::get<std::string>(*value_of(gguf_model_keys(spec, "x", GgufFileType::f32), "general.size_label"));
  };
  EXPECT_EQ(label(1, 172), "78K");
  EXPECT_EQ(label(24, 1000), "4.9M");
  EXPECT_EQ(label(1000, 40000), "7.7B");
}

TEST(GgufModelKeys, DivisorsOfLlama3) {
  ModelSpec spec = read_model_config(demo_model());
  EXPECT_TRUE(gguf_rope_tensors(spec).empty());
  spec.rope = RopeConfig{};
  spec.rope.theta = 1e4;
  spec.rope.type = "llama3";
  spec.rope.factor = 8.0;
  spec.rope.low_freq_factor = 1.0;
  spec.rope.high_freq_factor = 4.0;
  spec.rope.original_positions = 512;
  ASSERT_EQ(gguf_rope_tensors(spec).size(), 1U);
  EXPECT_EQ(gguf_rope_tensors(spec)[0].name, "rope_freqs.weight");
  const std::vector<float> divisors = gguf_rope_tensors(spec)[0].values;  // wavelengths 6.3, 63, 628 and 6283
  ASSERT_EQ(divisors.size(), 4U);
  EXPECT_EQ(divisors[0], 1.0F);
  EXPECT_EQ(divisors[1], 1.0F);
  EXPECT_EQ(divisors[2], 8.0F);
  EXPECT_EQ(divisors[3], 8.0F);
}

TEST(GgufModelKeys, WindowsEndTheContextUnlessTheyHaveKeys) {
  EXPECT_EQ(gguf_context_length(spec_of("mistral_window")), 7);
  EXPECT_EQ(gguf_context_length(spec_of("exaone4_hybrid")), spec_of("exaone4_hybrid").max_positions);
}

TEST(GgufModelKeys, FamiliesWithoutAnArchitectureAreRefused) {
  ModelSpec spec = read_model_config(demo_model());
  spec.model_type = "other";
  const Thrown thrown = thrown_by([&] { gguf_model_keys(spec, "x", GgufFileType::f32); });
  EXPECT_EQ(thrown.code, ExitCode::model);
  EXPECT_THAT(thrown.message, HasSubstr("models of type other cannot be written as GGUF files by this program (cohere2, exaone, "
                                        "exaone4, gemma, gemma2, gemma3_text, glm4, gpt2, gpt_neox, granite, internlm3, llama, "
                                        "ministral3, mistral, nemotron, olmo2, olmo3, phi3, qwen2, qwen3, smollm3, stablelm, "
                                        "starcoder2 can)"));
}

/// llama.cpp would not load such files (its lists of tensors for each architecture).
TEST(GgufModelKeys, WhatLlamaCppDoesNotHaveIsRefused) {
  const auto problem = [](const std::string& family) {
    const Thrown thrown = thrown_by([&] { gguf_model_keys(spec_of(family), "x", GgufFileType::f32); });
    EXPECT_EQ(thrown.code, ExitCode::model);
    return thrown.message;
  };
  EXPECT_THAT(problem("cohere2"), HasSubstr("llama.cpp has no head of its own for architecture cohere2"));
  EXPECT_THAT(problem("olmo2"), HasSubstr("llama.cpp has no biases of model.layers.0.self_attn.o_proj for architecture olmo2"));
  EXPECT_THAT(
      problem("nemotron"),
      HasSubstr("llama.cpp has no heads of 12 dimensions that are not the hidden size (40) together for architecture nemotron"));
  ModelSpec spec = spec_of("nemotron");
  spec.tied_head = true;
  EXPECT_THAT(thrown_by([&] { gguf_model_keys(spec, "x", GgufFileType::f32); }).message,
              HasSubstr("llama.cpp has no tied head for architecture nemotron"));
  spec = spec_of("qwen3");
  spec.rope.type = "longrope";
  EXPECT_THAT(thrown_by([&] { gguf_model_keys(spec, "x", GgufFileType::f32); }).message,
              HasSubstr("GGUF files of architecture qwen3 have no rotation of type longrope"));
}

/// The list of layers is written where it is not the one that readers assume.
TEST(GgufModelKeys, WindowsAndTheirLists) {
  ModelSpec spec = spec_of("gemma3");
  spec.tied_head = true;
  const auto list = [&] {
    return value_of(gguf_model_keys(spec, "x", GgufFileType::f32), "gemma3.attention.sliding_window_pattern");
  };
  EXPECT_EQ(value_of(gguf_model_keys(spec, "x", GgufFileType::f32), "gemma3.attention.sliding_window"),
            GgufKeyValue(std::uint32_t{7}));
  EXPECT_EQ(list(), GgufKeyValue(GgufFlags{{true, false, true}}));
  spec.layer_specs[1].window = 7;
  EXPECT_FALSE(list());
  EXPECT_EQ(value_of(gguf_model_keys(spec_of("phi3"), "x", GgufFileType::f32), "phi3.attention.sliding_window"),
            GgufKeyValue(std::uint32_t{0}));
}

TEST(GgufModelKeys, TensorsWithoutAPlaceAreRefused) {
  ModelSpec spec = spec_of("qwen3");
  spec.model_type = "qwen2";  // which has no norms of heads
  const TensorDirectory files = read_model_directory(source_dir() / "tests/golden/families/qwen3");
  const MergePlan plan;
  MergedModel model;
  model.spec = &spec;
  model.files = &files;
  model.plan = &plan;
  const Thrown thrown = thrown_by([&] { plan_gguf_tensors(model, GgufFileType::f32); });
  EXPECT_EQ(thrown.code, ExitCode::model);
  EXPECT_THAT(thrown.message, HasSubstr("q_norm.weight has no place in GGUF files of architecture qwen2"));
}

}  // namespace
}  // namespace lora_dist::gguf_model_keys_test

// Types of tensors, as llama.cpp's converter and llama-quantize choose them.
#include "src/convert/gguf_recipe.h"

#include <gtest/gtest.h>

namespace lora_dist::gguf_recipe_test {
namespace {

ModelSpec spec_of(std::int64_t layers, bool tied) {
  ModelSpec spec;
  spec.layers = layers;
  spec.tied_head = tied;
  spec.heads = spec.kv_heads = 8;
  return spec;
}

std::string_view type(GgufFileType file, const std::string& name, const std::vector<std::int64_t>& shape, const ModelSpec& spec) {
  return gguf_tensor_type(file, name, shape, spec).name;
}

TEST(GgufRecipe, NormsBiasesAndPositionsAreF32) {
  for (const auto& each : kGgufFileTypes) {
    const ModelSpec spec = spec_of(4, true);
    EXPECT_EQ(type(each.value, "blk.0.attn_norm.weight", {256}, spec), "F32");
    EXPECT_EQ(type(each.value, "blk.0.attn_q.bias", {256}, spec), "F32");
    EXPECT_EQ(type(each.value, "position_embd.weight", {64, 256}, spec), "F32");
    EXPECT_EQ(type(each.value, "rope_freqs.weight", {64}, spec), "F32");
  }
}

TEST(GgufRecipe, OneTypeForAllMatrices) {
  const ModelSpec spec = spec_of(4, false);
  EXPECT_EQ(type(GgufFileType::f16, "output.weight", {64, 256}, spec), "F16");
  EXPECT_EQ(type(GgufFileType::bf16, "blk.0.ffn_up.weight", {64, 257}, spec), "BF16");
  EXPECT_EQ(type(GgufFileType::q8_0, "token_embd.weight", {64, 256}, spec), "Q8_0");
  EXPECT_EQ(type(GgufFileType::q8_0, "blk.0.ffn_down.weight", {64, 172}, spec), "F16");
}

TEST(GgufRecipe, Q4KMMixture) {
  const ModelSpec spec = spec_of(16, false);
  const auto of = [&](const std::string& name, std::int64_t row) { return type(GgufFileType::q4_k_m, name, {64, row}, spec); };
  EXPECT_EQ(of("blk.3.attn_q.weight", 512), "Q4_K");
  EXPECT_EQ(of("token_embd.weight", 512), "Q4_K");
  EXPECT_EQ(of("output.weight", 512), "Q6_K");
  EXPECT_EQ(of("blk.3.attn_qkv.weight", 512), "Q5_K");
  std::string more;
  for (int layer = 0; layer < 16; ++layer) {  // the first two, the last two, and each third one between
    const std::string block = "blk." + std::to_string(layer);
    EXPECT_EQ(of(block + ".attn_v.weight", 512), of(block + ".ffn_down.weight", 512));
    more += of(block + ".attn_v.weight", 512) == "Q6_K" ? '6' : '4';
  }
  EXPECT_EQ(more, "6644644644644666");
  EXPECT_EQ(type(GgufFileType::q4_k_m, "token_embd.weight", {64, 512}, spec_of(16, true)), "Q6_K");
}

TEST(GgufRecipe, RowsThatAreNoWholeBlocksFallBack) {
  const ModelSpec spec = spec_of(16, false);
  const auto of = [&](const std::string& name, std::int64_t row) { return type(GgufFileType::q4_k_m, name, {64, row}, spec); };
  EXPECT_EQ(of("blk.3.attn_q.weight", 288), "Q5_0");
  EXPECT_EQ(of("blk.3.attn_qkv.weight", 288), "Q5_1");
  EXPECT_EQ(of("blk.0.ffn_down.weight", 288), "Q8_0");
  EXPECT_EQ(of("output.weight", 288), "Q8_0");
  EXPECT_EQ(of("blk.3.attn_q.weight", 172), "F16");
  EXPECT_EQ(of("output.weight", 172), "F16");
}

TEST(GgufRecipe, TheSmallValuesOf70BModels) {
  ModelSpec spec = spec_of(80, false);
  spec.kv_heads = 1;
  EXPECT_EQ(type(GgufFileType::q4_k_m, "blk.10.attn_v.weight", {64, 512}, spec), "Q5_K");
  EXPECT_EQ(type(GgufFileType::q4_k_m, "blk.0.attn_v.weight", {64, 512}, spec), "Q6_K");
  EXPECT_EQ(type(GgufFileType::q4_k_m, "blk.10.ffn_down.weight", {64, 512}, spec), "Q4_K");
}

TEST(GgufRecipe, NumbersOfFileTypes) {
  EXPECT_EQ(gguf_file_type_number(GgufFileType::f32), 0U);
  EXPECT_EQ(gguf_file_type_number(GgufFileType::f16), 1U);
  EXPECT_EQ(gguf_file_type_number(GgufFileType::q8_0), 7U);
  EXPECT_EQ(gguf_file_type_number(GgufFileType::q4_k_m), 15U);
  EXPECT_EQ(gguf_file_type_number(GgufFileType::bf16), 32U);
}

}  // namespace
}  // namespace lora_dist::gguf_recipe_test

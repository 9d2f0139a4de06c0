// Adapters for vLLM and llama.cpp: the update of every weight is the original one under the reader's own rule of scaling.
#include "src/convert/plain_adapter.h"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/support/scratch.h"

namespace lora_dist::plain_adapter_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::string kQ = "model.layers.0.self_attn.q_proj";
const std::string kV = "model.layers.1.self_attn.v_proj";

AdapterMatrix matrix(std::int64_t rows, std::int64_t cols, float first) {
  AdapterMatrix out{{rows, cols}, {}};
  for (std::int64_t i = 0; i < rows * cols; ++i) {
    out.values.push_back(std::sin(first + static_cast<float>(i)));
  }
  return out;
}

/// q has rank 2, v rank 4 unless told otherwise.
PeftAdapter adapter_of(std::int64_t rank_of_v) {
  PeftAdapter out;
  out.config.r = 2;
  out.config.alpha = 5;
  out.config.target_pattern = "all-linear";
  out.tensors = {{kQ + ".lora_A", matrix(2, 6, 0.1F)},
                 {kQ + ".lora_B", matrix(8, 2, 0.2F)},
                 {kV + ".lora_A", matrix(rank_of_v, 6, 0.3F)},
                 {kV + ".lora_B", matrix(8, rank_of_v, 0.4F)}};
  if (rank_of_v != 2) {
    out.config.rank_pattern = {{"v_proj", rank_of_v}};
  }
  return out;
}

std::vector<double> update_of(const PeftAdapter& adapter, const std::string& path, double scale) {
  const AdapterMatrix& a = adapter.tensors.at(path + ".lora_A");
  const AdapterMatrix& b = adapter.tensors.at(path + ".lora_B");
  std::vector<double> out;
  for (std::int64_t row = 0; row < b.shape[0]; ++row) {
    for (std::int64_t col = 0; col < a.shape[1]; ++col) {
      double sum = 0.0;
      for (std::int64_t k = 0; k < a.shape[0]; ++k) {
        sum += static_cast<double>(b.values[static_cast<std::size_t>(row * a.shape[0] + k)]) *
               static_cast<double>(a.values[static_cast<std::size_t>(k * a.shape[1] + col)]);
      }
      out.push_back(scale * sum);
    }
  }
  return out;
}

/// The reader scales by alpha / r of the configuration, or with `own` by alpha / r of the module.
void expect_same_updates(const PeftAdapter& original, const PeftAdapter& plain, PlainRanks ranks) {
  for (const std::string& path : {kQ, kV}) {
    const std::int64_t r = ranks == PlainRanks::own ? plain.tensors.at(path + ".lora_A").shape[0] : plain.config.r;
    const std::vector<double> wanted = update_of(original, path, scale_of(original.config, path));
    const std::vector<double> got = update_of(plain, path, plain.config.alpha / static_cast<double>(r));
    ASSERT_EQ(wanted.size(), got.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_NEAR(got[i], wanted[i], 1e-5) << path;  // B is rounded to f32 after the factor
    }
  }
}

TEST(PlainAdapter, APlainOneKeepsItsBits) {
  const PeftAdapter original = adapter_of(2);
  for (const PlainRanks ranks : {PlainRanks::same, PlainRanks::own}) {
    const PeftAdapter plain = plain_adapter(original, ranks);
    EXPECT_EQ(plain.config.alpha, 5.0);
    EXPECT_EQ(plain.config.r, 2);
    for (const auto& [name, factor] : original.tensors) {
      EXPECT_EQ(plain.tensors.at(name).values, factor.values);
    }
    EXPECT_THAT(plain.config.target_modules, ElementsAre("q_proj", "v_proj"));
    EXPECT_EQ(plain.config.target_pattern, "");
  }
}

TEST(PlainAdapter, RsloraGoesIntoAlpha) {
  PeftAdapter original = adapter_of(2);
  original.config.use_rslora = true;
  for (const PlainRanks ranks : {PlainRanks::same, PlainRanks::own}) {
    const PeftAdapter plain = plain_adapter(original, ranks);
    EXPECT_FALSE(plain.config.use_rslora);
    EXPECT_NEAR(plain.config.alpha, 5.0 * std::sqrt(2.0), 1e-12);
    EXPECT_EQ(plain.tensors.at(kQ + ".lora_B").values, original.tensors.at(kQ + ".lora_B").values);
    expect_same_updates(original, plain, ranks);
  }
}

TEST(PlainAdapter, PatternsBecomeOneRankAndOneAlpha) {
  for (const bool rslora : {false, true}) {
    PeftAdapter original = adapter_of(4);
    original.config.use_rslora = rslora;
    original.config.alpha_pattern = {{"q_proj", 7.0}};
    const PeftAdapter plain = plain_adapter(original, PlainRanks::same);
    EXPECT_EQ(plain.config.r, 4);
    EXPECT_TRUE(plain.config.rank_pattern.empty());
    EXPECT_TRUE(plain.config.alpha_pattern.empty());
    EXPECT_THAT(plain.tensors.at(kQ + ".lora_A").shape, ElementsAre(4, 6));
    EXPECT_THAT(plain.tensors.at(kQ + ".lora_B").shape, ElementsAre(8, 4));
    EXPECT_EQ(plain.tensors.at(kQ + ".lora_A").values.back(), 0.0F);
    EXPECT_EQ(plain.tensors.at(kQ + ".lora_B").values[2], 0.0F);
    expect_same_updates(original, plain, PlainRanks::same);
  }
}

/// llama.cpp divides alpha by each tensor's rank: plain LoRA with ranks of its own needs no change.
TEST(PlainAdapter, RanksOfTheirOwn) {
  PeftAdapter original = adapter_of(4);
  const PeftAdapter plain = plain_adapter(original, PlainRanks::own);
  EXPECT_EQ(plain.config.alpha, 5.0);
  EXPECT_EQ(plain.tensors.at(kV + ".lora_B").values, original.tensors.at(kV + ".lora_B").values);
  EXPECT_THAT(plain.tensors.at(kQ + ".lora_A").shape, ElementsAre(2, 6));
  original.config.use_rslora = true;
  original.config.alpha_pattern = {{"q_proj", 7.0}};
  expect_same_updates(original, plain_adapter(original, PlainRanks::own), PlainRanks::own);
}

/// llama.cpp takes an alpha of 0 for "no scaling".
TEST(PlainAdapter, AlphaOfZero) {
  PeftAdapter original = adapter_of(2);
  original.config.alpha = 0;
  const PeftAdapter plain = plain_adapter(original, PlainRanks::own);
  EXPECT_GT(plain.config.alpha, 0.0);
  expect_same_updates(original, plain, PlainRanks::own);
}

TEST(PlainAdapter, AModuleWithoutPlaceInGgufFiles) {
  PeftAdapter adapter = adapter_of(2);
  ModelSpec spec;
  spec.model_type = "llama";
  spec.heads = spec.kv_heads = 2;
  EXPECT_EQ(gguf_adapter_factors(adapter, spec, "a").size(), 4U);
  adapter.tensors["model.layers.0.mlp.other.lora_A"] = matrix(2, 6, 0.0F);
  const Thrown thrown = thrown_by([&] { gguf_adapter_factors(adapter, spec, "a"); });
  EXPECT_EQ(thrown.code, ExitCode::model);
  EXPECT_THAT(thrown.message, HasSubstr("a: it adapts model.layers.0.mlp.other, which has no place in GGUF files"));
}

}  // namespace
}  // namespace lora_dist::plain_adapter_test

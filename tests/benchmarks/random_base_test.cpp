// Random bases: dequantized values, and the computed cost of a step.
#include "benchmarks/random_base.h"

#include <gtest/gtest.h>

#include <cmath>

#include "benchmarks/step_costs.h"
#include "kernels/elementwise/elementwise.h"
#include "src/base/weight_window.h"
#include "src/comm/single_rank.h"

namespace lora_dist::benchmarks::random_base_test {
namespace {

ModelSpec small_spec() {
  ModelSpec spec;
  spec.hidden = 128;
  spec.layers = 2;
  spec.heads = 2;
  spec.kv_heads = 1;
  spec.head_dim = 64;
  spec.intermediate = 256;
  spec.vocab = 300;
  return spec;
}

std::vector<float> dequantized(const FrozenBase& base, std::int64_t layer, Linear linear) {
  Arena arena;
  const auto alone = make_single_rank();
  FrozenBase copy = base;
  WeightWindow window(copy, *alone, arena, Stream{}, DType::f32);
  const FrozenWeight weight = window.acquire(layer)[index_of(linear)];
  std::vector<float> values(static_cast<std::size_t>(base.largest_weight()));
  std::vector<float> absmax(values.size() / 64 + 1);
  const ConstTensorView out = dequantize(weight, view(std::span(values)), absmax, Stream{});
  return {out.as<float>(), out.as<float>() + out.count()};
}

/// 32,768 draws: their mean square is off by 0.8 % (one deviation); NF4 loses about 1 % of it.
void expect_normal(const std::vector<float>& values) {
  double sum = 0.0;
  double squares = 0.0;
  for (const float value : values) {
    sum += static_cast<double>(value);
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  const auto count = static_cast<double>(values.size());
  EXPECT_NEAR(sum / count, 0.0, 0.02 * 4.0 / std::sqrt(count));
  EXPECT_NEAR(squares / count, 0.02 * 0.02, 0.02 * 0.02 * 0.05);
}

TEST(RandomBase, WeightsAreNormalInEveryFormat) {
  for (const BaseFormat& format : {BaseFormat{Quantization::nf4, true, 64}, BaseFormat{Quantization::nf4, false, 64},
                                   BaseFormat{Quantization::nf4, true, 4096}, BaseFormat{Quantization::fp4, true, 64},
                                   BaseFormat{Quantization::none, true, 64}}) {
    Arena arena;
    const FrozenBase base = make_random_base(small_spec(), format, DType::f32, arena, Stream{});
    expect_normal(dequantized(base, 0, Linear::gate));
    expect_normal(dequantized(base, 1, Linear::down));
    EXPECT_NE(dequantized(base, 0, Linear::gate), dequantized(base, 1, Linear::gate));
    EXPECT_NE(dequantized(base, 0, Linear::gate), dequantized(base, 0, Linear::up));
    EXPECT_EQ(base.final_norm.weight[0], 1.0F);
    EXPECT_EQ(base.rest[1].mlp_norm.weight[127], 1.0F);
  }
}

TEST(RandomBase, AHeadOfItsOwnHasOtherValuesThanTheEmbedding) {
  Arena arena;
  ModelSpec spec = small_spec();
  const FrozenBase base = make_random_base(spec, {}, DType::f32, arena, Stream{});
  ASSERT_EQ(base.embedding.dtype, DType::bf16);
  ASSERT_EQ(base.head.dtype, DType::f32);
  const ConstTensorView rows = base.embedding.whole();
  std::vector<float> embedding(static_cast<std::size_t>(rows.count()));
  cast(rows, view(embedding.data(), rows.shape), Stream{});
  const ConstTensorView of_head = base.head.whole();
  const std::vector<float> head(of_head.as<float>(), of_head.as<float>() + of_head.count());
  expect_normal(embedding);
  expect_normal(head);
  EXPECT_GT(std::abs(embedding[0] - head[0]), 1e-3F);  // other draws, not only other rounding

  spec.tied_head = true;
  const FrozenBase tied = make_random_base(spec, {}, DType::f32, arena, Stream{});
  EXPECT_EQ(tied.embedding.whole().data, tied.head.whole().data);
}

TEST(StepCosts, AreThoseOfLlama8B) {
  const ModelSpec spec = read_model_config(std::filesystem::path(LORA_DIST_SOURCE_DIR) / "benchmarks/shapes/llama-3.1-8b");
  // The model's 8,030,261,248 parameters without its embedding (128,256 x 4,096) and its 65 norms.
  EXPECT_EQ(multiplied_weights(spec), 8030261248.0 - 128256.0 * 4096.0 - 65.0 * 4096.0);
  // Forward: 32 layers of two products of 4,096 by 1,024 keys on average; 7 / 2 of that with backward.
  EXPECT_EQ(attention_flop_per_token(spec, 2048, Recompute::none), 3.5 * 32.0 * 2.0 * 2.0 * 4096.0 * 1024.0);
  EXPECT_EQ(attention_flop_per_token(spec, 2048, Recompute::block), 4.5 * 32.0 * 2.0 * 2.0 * 4096.0 * 1024.0);
  EXPECT_EQ(flop_per_weight(Recompute::selective), 4.0);
  EXPECT_EQ(flop_per_weight(Recompute::block), 6.0);
}

TEST(StepCosts, CountTheBytesOfDequantization) {
  Arena arena;
  const ModelSpec spec = small_spec();
  const double elements = 2.0 * (2 * 128 * 128 + 2 * 64 * 128 + 3 * 256 * 128);
  const FrozenBase nf4 = make_random_base(spec, {Quantization::nf4, false, 64}, DType::f32, arena, Stream{});
  const double once = elements * (0.5 + 4.0 / 64.0 + 2.0);  // codes and scales read, bf16 written
  EXPECT_EQ(dequantized_bytes_per_pass(nf4, DType::bf16), 2.0 * once);
  const FrozenBase plain = make_random_base(spec, {Quantization::none, false, 64}, DType::f32, arena, Stream{});
  EXPECT_EQ(dequantized_bytes_per_pass(plain, DType::bf16), 0.0);
  EXPECT_EQ(dequantized_bytes_per_pass(plain, DType::f32), 2.0 * elements * 6.0);
}

}  // namespace
}  // namespace lora_dist::benchmarks::random_base_test

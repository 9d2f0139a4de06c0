// TP sharding of a model, and each rank's base: to the bit a part of the whole base.
#include "src/base/tp_shard.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <numeric>
#include <vector>

#include "src/core/error.h"
#include "src/model/tensor_table.h"
#include "tests/support/model_fixture.h"
#include "tests/support/thread_ranks.h"
#include "tests/support/whole_base.h"

namespace lora_dist::tp_shard_test {
namespace {

using test::on_ranks;
using test::source;

ModelSpec heads_of(std::int64_t heads, std::int64_t kv_heads) {
  ModelSpec spec;
  spec.hidden = heads * 4;
  spec.heads = heads;
  spec.kv_heads = kv_heads;
  spec.head_dim = 4;
  spec.intermediate = 130;
  spec.vocab = 101;
  return spec;
}

/// Every head is on one rank, with its kv head, and each rank has equally many heads per kv head.
TEST(TpShard, HeadsFollowTheirKvHeads) {
  for (const auto& [heads, kv_heads] :
       std::vector<std::array<std::int64_t, 2>>{{14, 2}, {28, 4}, {8, 8}, {7, 1}, {12, 3}, {64, 8}}) {
    const ModelSpec spec = heads_of(heads, kv_heads);
    const std::int64_t group = heads / kv_heads;
    for (int ranks = 1; ranks <= heads; ++ranks) {
      std::int64_t next = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const TpShard tp = tp_shard(spec, rank, ranks);
        EXPECT_EQ(tp.heads.begin, next);
        next = tp.heads.end;
        ASSERT_GT(tp.heads.size(), 0);
        ASSERT_EQ(tp.heads.size() % tp.kv_heads.size(), 0);
        const std::int64_t of_each = tp.heads.size() / tp.kv_heads.size();
        for (std::int64_t h = tp.heads.begin; h < tp.heads.end; ++h) {
          EXPECT_EQ(tp.kv_heads.begin + (h - tp.heads.begin) / of_each, h / group) << heads << " " << ranks << " " << rank;
        }
      }
      EXPECT_EQ(next, heads);
    }
  }
}

TEST(TpShard, RefusesMoreRanksThanThereIsToShare) {
  const ModelSpec spec = heads_of(4, 2);
  try {
    tp_shard(spec, 0, 5);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_STREQ(error.what(), "parallel.tensor = 5, but this model has 4 attention heads: at most 4 ranks can share a layer");
  }
}

/// Every weight of a base, dequantized.
using Weights = std::vector<std::array<std::vector<float>, kLinears>>;

Weights dequantized(const FrozenBase& base, Communicator& shards) {
  Arena arena;
  WeightWindow window(base, shards, arena, Stream{}, DType::f32);
  std::vector<float> room(static_cast<std::size_t>(base.largest_weight()));
  std::vector<float> absmax(static_cast<std::size_t>(base.most_scales()));
  Weights weights;
  for (std::int64_t layer = 0; layer < base.spec.layers; ++layer) {
    const BlockWeights block = window.acquire(layer);
    auto& of_layer = weights.emplace_back();
    for (std::size_t i = 0; i < kLinears; ++i) {
      if (block[i].layout->rows > 0) {
        const ConstTensorView w = dequantize(block[i], view(std::span(room)), absmax, Stream{});
        of_layer[i].assign(w.as<float>(), w.as<float>() + w.count());
      }
    }
    window.release(layer);
  }
  return weights;
}

std::vector<float> elements_of(const std::vector<float>& whole, const StridedSlice& slice) {
  std::vector<float> part;
  for (std::int64_t row = 0; row < slice.rows; ++row) {
    const auto first = whole.begin() + slice.first(row);
    part.insert(part.end(), first, first + slice.width);
  }
  return part;
}

struct HeldCase {
  const char* model;
  BaseFormat format;
  int data;
  int tensor;
};
void PrintTo(const HeldCase& c, std::ostream* out) {
  *out << c.model << " " << describe(c.format) << " " << c.data << "x" << c.tensor;
}

class HeldPart : public testing::TestWithParam<HeldCase> {};

TEST_P(HeldPart, IsToTheBitAPartOfTheWhole) {
  const HeldCase& c = GetParam();
  const auto folder = source(c.model);
  const ModelSpec spec = read_model_config(folder);
  const TensorDirectory directory = read_model_directory(folder);
  Weights whole;
  on_ranks(1, [&](Communicator& world) {
    Arena arena;
    whole = dequantized(test::load_whole_base(spec, directory, c.format, world, {arena, Stream{}}), world);
  });
  on_ranks(c.data * c.tensor, [&](Communicator& world) {
    const TpShard tp = tp_shard(spec, world.rank() % c.tensor, c.tensor);
    const auto shards = world.split(tp.rank);
    Arena arena;
    const FrozenBase base = load_frozen_base(spec, directory, c.format, {*shards, world, world, tp}, {arena, Stream{}});
    const Weights held = dequantized(base, *shards);
    for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
      for (const Linear linear : kAllLinears) {
        const std::size_t i = index_of(linear);
        const std::vector<float>& all = whole[static_cast<std::size_t>(layer)][i];
        if (all.empty()) {
          continue;
        }
        const std::vector<float> expected = elements_of(all, weight_slice(spec, tp, linear));
        ASSERT_EQ(held[static_cast<std::size_t>(layer)][i].size(), expected.size());
        EXPECT_EQ(held[static_cast<std::size_t>(layer)][i], expected)
            << "layer " << layer << ", linear " << i << ", rank " << world.rank();
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Bases, HeldPart,
                         testing::Values(HeldCase{"tests/golden/families/llama3", {Quantization::nf4, true, 64}, 1, 2},
                                         HeldCase{"tests/golden/families/llama3", {Quantization::nf4, true, 64}, 2, 3},
                                         HeldCase{"tests/golden/families/llama3", {Quantization::nf4, false, 256}, 3, 4},
                                         HeldCase{"tests/golden/families/llama3", {Quantization::fp4, true, 32}, 1, 3},
                                         HeldCase{"tests/golden/families/llama3", {Quantization::int8, false, 64}, 2, 2},
                                         HeldCase{"tests/golden/families/llama3", {Quantization::none, false, 64}, 2, 3},
                                         HeldCase{"tests/golden/families/gpt2", {Quantization::nf4, true, 64}, 2, 3},
                                         HeldCase{"tests/golden/families/gpt2", {Quantization::int8, false, 64}, 1, 2},
                                         HeldCase{"tests/golden/families/gpt_neox_parallel", {Quantization::nf4, true, 64}, 2, 2},
                                         HeldCase{"tests/golden/families/phi3", {Quantization::nf4, true, 64}, 2, 2},
                                         HeldCase{"tests/golden/families/phi3", {Quantization::nf4, false, 64}, 1, 3},
                                         HeldCase{"tests/golden/families/phi3", {Quantization::nf4, true, 32}, 1, 4},
                                         HeldCase{"tests/golden/families/phi3", {Quantization::int8, false, 64}, 2, 2},
                                         HeldCase{"tests/golden/families/phi3", {Quantization::none, false, 64}, 1, 3},
                                         HeldCase{"tests/golden/families/glm4", {Quantization::nf4, true, 64}, 1, 4},
                                         HeldCase{"demo/model", {Quantization::nf4, true, 64}, 2, 4}));

}  // namespace
}  // namespace lora_dist::tp_shard_test

// The frozen base divided over ranks: the same weights on every mesh, and the expected bytes per rank.
#include <gtest/gtest.h>

#include <cstring>

#include "src/comm/single_rank.h"
#include "tests/support/model_fixture.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::frozen_base_test {
namespace {

using test::OpenedModel;
using test::source;

/// Every weight of every block, dequantized by the window of rank `comm`.
std::vector<float> all_weights(const std::filesystem::path& folder, const BaseFormat& format, Communicator& comm) {
  OpenedModel opened(folder, format, comm, 8);
  std::vector<float> all;
  std::vector<float> scratch(static_cast<std::size_t>(opened.base.largest_weight()));
  std::vector<float> absmax(scratch.size());
  for (std::int64_t layer = 0; layer < opened.spec.layers; ++layer) {
    const BlockWeights weights = opened.window->acquire(layer);
    if (layer + 1 < opened.spec.layers) {
      opened.window->prefetch(layer + 1);
    }
    for (const FrozenWeight& weight : weights) {
      if (weight.layout->rows == 0) {
        continue;
      }
      const ConstTensorView values = dequantize(weight, view(std::span(scratch)), absmax, opened.stream);
      all.insert(all.end(), values.as<float>(), values.as<float>() + values.count());
    }
    opened.window->release(layer);
  }
  return all;
}

void expect_same_on_all_meshes(const std::string& folder, const BaseFormat& format) {
  const auto single = make_single_rank();
  const std::vector<float> whole = all_weights(source(folder), format, *single);
  for (const int ranks : {2, 3, 4, 7}) {
    test::on_ranks(ranks, [&](Communicator& comm) {
      const std::vector<float> parts = all_weights(source(folder), format, comm);
      ASSERT_EQ(parts.size(), whole.size());
      EXPECT_EQ(std::memcmp(parts.data(), whole.data(), whole.size() * sizeof(float)), 0) << ranks << " ranks";
    });
  }
}

TEST(FrozenShard, SameWeightsOnEveryMesh) {
  expect_same_on_all_meshes("demo/model", {Quantization::none});
  expect_same_on_all_meshes("demo/model", {Quantization::nf4, false});
  expect_same_on_all_meshes("demo/model", {Quantization::nf4, true});
  expect_same_on_all_meshes("demo/model", {Quantization::fp4, true});
  expect_same_on_all_meshes("demo/model", {Quantization::int8});
  expect_same_on_all_meshes("tests/golden/tiny_llama_head_dim", {Quantization::int8});
  expect_same_on_all_meshes("tests/golden/tiny_llama_head_dim", {Quantization::none});  // bf16, and sizes no block divides
  expect_same_on_all_meshes("tests/golden/tiny_llama_head_dim", {Quantization::nf4, true});
  expect_same_on_all_meshes("tests/golden/families/gpt2_bare", {Quantization::none});  // transposed matrices, bf16
  expect_same_on_all_meshes("tests/golden/families/gpt2_bare", {Quantization::nf4, true});
  expect_same_on_all_meshes("tests/golden/families/gpt2_bare", {Quantization::int8});
}

/// Each rank reads its own bytes of codes and scales.
TEST(FrozenShard, SameWeightsOfAQuantizedFolderOnEveryMesh) {
  expect_same_on_all_meshes("tests/golden/prequantized/llama_nf4_nested", {Quantization::nf4});
  expect_same_on_all_meshes("tests/golden/prequantized/gpt2_fp4_in_bf16", {Quantization::none});
}

/// Blocks of 1024 elements have 512 bytes of codes: slices begin inside blocks.
TEST(FrozenShard, CutsThroughQuantizationBlocks) {
  expect_same_on_all_meshes("demo/model", {Quantization::nf4, true, 1024});
  expect_same_on_all_meshes("tests/golden/tiny_llama_bias", {Quantization::nf4, false, 4096});
}

/// Weights equal bitsandbytes' through quantization and back: sums of magnitudes and offsets of the golden run.
TEST(FrozenShard, OffsetsAndMagnitudesEqualBitsandbytes) {
  for (const bool double_quant : {false, true}) {
    const auto golden = test::read_json(source(std::string("tests/golden/lora_steps/") +
                                               (double_quant ? "nf4_double_all_linear" : "nf4_all_linear") + "/losses.json"));
    const auto comm = make_single_rank();
    OpenedModel opened(source("demo/model"), {Quantization::nf4, double_quant}, *comm, 8);
    std::vector<float> scratch(static_cast<std::size_t>(opened.base.largest_weight()));
    std::vector<float> absmax(scratch.size());
    for (std::int64_t layer = 0; layer < opened.spec.layers; ++layer) {
      const BlockWeights weights = opened.window->acquire(layer);
      for (const Linear linear : kAllLinears) {
        if (linear_shape(opened.spec, linear).out == 0) {
          continue;
        }
        const std::string name = module_path(*opened.spec.family, layer, linear) + ".weight";
        const auto& expected = golden["quantized_base"][name];
        const ConstTensorView values = dequantize(weights[index_of(linear)], view(std::span(scratch)), absmax, opened.stream);
        double sum = 0.0;
        for (std::int64_t i = 0; i < values.count(); ++i) {
          sum += std::abs(static_cast<double>(values.as<float>()[i]));
        }
        // without double quantization every value is equal; with it the offset's last bits move each value by an ulp
        EXPECT_NEAR(sum, expected["abs_sum"].get<double>(), double_quant ? 1e-6 * sum : 1e-12 * sum) << name;
        if (double_quant) {
          EXPECT_NEAR(weights[index_of(linear)].nested_offset, expected["nested_offset"].get<float>(), 2e-7F * sum);
        }
      }
    }
  }
}

/// At most 1/np of the whole, plus padding.
TEST(FrozenShard, EachRankHoldsItsShare) {
  const auto single = make_single_rank();
  const OpenedModel whole(source("demo/model"), {Quantization::nf4}, *single, 8);
  std::int64_t all = 0;
  for (const auto slice : whole.base.slices) {
    all += static_cast<std::int64_t>(slice.size());
  }
  for (const int ranks : {2, 4}) {
    test::on_ranks(ranks, [&](Communicator& comm) {
      const OpenedModel opened(source("demo/model"), {Quantization::nf4}, comm, 8);
      std::int64_t mine = 0;
      for (const auto slice : opened.base.slices) {
        mine += static_cast<std::int64_t>(slice.size());
      }
      EXPECT_LE(static_cast<double>(mine), 1.02 * static_cast<double>(all) / ranks);
      const MemoryByKind held = sum_by_kind(opened.arena.items());
      EXPECT_EQ(held[static_cast<std::size_t>(MemoryKind::windows)],
                2 * (opened.base.largest_window() + opened.base.embedding.largest_window()));
    });
  }
}

TEST(FrozenShard, WindowGathersEachBlockOnce) {
  test::on_ranks(2, [](Communicator& comm) {
    OpenedModel opened(source("demo/model"), {Quantization::nf4}, comm, 8);
    const std::int64_t before = comm.wire()[WireKind::base_gather];
    const std::int64_t slice = opened.base.layouts[0].slice_bytes;
    const std::int64_t layers = opened.spec.layers;
    for (std::int64_t l = 0; l < layers; ++l) {
      opened.window->serve(l, l + 1 < layers ? l + 1 : -1);
    }
    EXPECT_EQ(comm.wire()[WireKind::base_gather] - before, layers * slice);
    for (std::int64_t l = layers - 1; l >= 0; --l) {  // the two last blocks are still in their windows
      opened.window->serve(l, l - 1);
    }
    EXPECT_EQ(comm.wire()[WireKind::base_gather] - before, (2 * layers - 2) * slice);
  });
}

/// A rank without work takes part in the gathers of a rank with work.
TEST(FrozenShard, RankWithoutWorkServes) {
  const std::vector<std::int32_t> ids = {1, 403, 407, 261};
  test::TestBatch pass;
  pass.add(ids, ids);
  const auto single = make_single_rank();
  const OpenedModel whole(source("demo/model"), {Quantization::nf4}, *single, 8);
  const double expected = test::loss_of(whole.transformer(), pass);
  test::on_ranks(3, [&](Communicator& comm) {
    const OpenedModel opened(source("demo/model"), {Quantization::nf4}, comm, 8);
    for (int working = 0; working < comm.size(); ++working) {
      const double loss = test::loss_of(opened.transformer(), comm.rank() == working ? pass : MicroBatch{});
      EXPECT_EQ(loss, comm.rank() == working ? expected : 0.0);
    }
  });
}

}  // namespace
}  // namespace lora_dist::frozen_base_test

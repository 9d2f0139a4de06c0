// Gradients of the adapter, compared with transformers + PEFT and with finite differences, with and without recomputation.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "src/comm/single_rank.h"
#include "src/io/safetensors.h"
#include "tests/support/model_fixture.h"

namespace lora_dist::gradient_test {
namespace {

using test::OpenedModel;
using test::source;
using test::TestBatch;

/// Reads a flat buffer from a safetensors file with PEFT's names.
std::vector<float> read_flat(const std::filesystem::path& file, const AdapterLayout& layout) {
  const TensorDirectory directory = read_safetensors_header(file);
  std::vector<float> flat(static_cast<std::size_t>(layout.count));
  for (const auto& [path, parameter] : named_parameters(layout)) {
    const TensorInfo& tensor = directory.tensors.at(fmt::format("base_model.model.{}.{}.weight", path, parameter.name));
    read_tensor_bytes(tensor, 0,
                      std::as_writable_bytes(std::span(flat).subspan(static_cast<std::size_t>(parameter.offset),
                                                                     static_cast<std::size_t>(parameter.shape.count()))));
  }
  return flat;
}

double largest(const std::vector<float>& values) {
  double most = 0.0;
  for (const float value : values) {
    most = std::max(most, std::abs(static_cast<double>(value)));
  }
  return most;
}

void expect_golden_gradient(const std::string& folder) {
  const std::filesystem::path model = source("tests/golden/" + folder);
  const AdapterSpec spec{4, 8.0, 0.0, false, {"all-linear"}};
  const TestBatch pass = test::read_rows(model / "score_input.jsonl");
  const nlohmann::json golden = test::read_json(model / "logprobs_fp32_adapter.json")["gradient"];
  const auto comm = make_single_rank();
  for (const Recompute recompute : {Recompute::none, Recompute::block}) {
    OpenedModel opened(model, {Quantization::none}, *comm, static_cast<std::int64_t>(pass.ids.size()), recompute, &spec);
    opened.params = read_flat(model / "adapter/adapter_model.safetensors", opened.layout);
    std::vector<float> grads(opened.params.size(), NAN);
    const auto targets = static_cast<double>(pass.target_tokens());
    const double loss =
        test::loss_and_gradient(opened.transformer(), pass, {}, static_cast<float>(1.0 / targets), grads) / targets;
    EXPECT_EQ(pass.target_tokens(), golden["target_tokens_all_rows"].get<std::int64_t>());
    EXPECT_NEAR(loss, golden["loss_all_rows"].get<double>(), 1e-5);
    const std::vector<float> expected = read_flat(model / "adapter_gradient.safetensors", opened.layout);
    const double scale = largest(expected);
    for (std::size_t i = 0; i < grads.size(); ++i) {
      ASSERT_NEAR(grads[i], expected[i], 2e-5 * scale) << "element " << i;  // fp32 sums over about a hundred tokens
    }
  }
}

TEST(Gradient, EqualsPeftOnTinyLlamaWithBiases) { expect_golden_gradient("tiny_llama_bias"); }
TEST(Gradient, EqualsPeftOnTinyLlamaWithItsOwnHeadDim) { expect_golden_gradient("tiny_llama_head_dim"); }

TestBatch small_pass() {
  TestBatch pass;
  const std::vector<std::int32_t> first = {1, 403, 407, 261, 378, 270, 400, 290, 44, 12};
  const std::vector<std::int32_t> second = {1, 90, 33, 500, 271, 272};
  std::vector<std::int32_t> masked = second;
  masked[1] = masked[2] = -100;
  pass.add(first, first);
  pass.add(second, masked);
  return pass;
}

std::vector<float> random_factors(std::size_t count) {
  std::vector<float> values(count);
  std::uint32_t state = 12345;
  for (float& value : values) {
    state = state * 1664525U + 1013904223U;
    value = (static_cast<float>(state >> 8) * 0x1p-24F - 0.5F) * 0.2F;
  }
  return values;
}

/// Along random directions the loss changes as the gradient says, with dropout: backward uses forward's mask.
TEST(Gradient, EqualsFiniteDifferencesWithDropout) {
  const AdapterSpec spec{4, 8.0, 0.3, false, {"all-linear"}};
  const TestBatch pass = small_pass();
  const auto comm = make_single_rank();
  OpenedModel opened(source("demo/model"), {Quantization::nf4}, *comm, 64, Recompute::block, &spec);
  opened.params = random_factors(opened.params.size());
  const std::vector<float> at = opened.params;
  const StepDropout dropout{0.3F, 42, 7};
  std::vector<float> grads(at.size());
  std::vector<float> ignored(at.size());
  test::loss_and_gradient(opened.transformer(), pass, dropout, 1.0F, grads);
  for (std::uint32_t trial = 0; trial < 5; ++trial) {
    std::vector<float> direction = random_factors(at.size() + trial + 1);
    direction.erase(direction.begin(), direction.begin() + trial + 1);
    double expected = 0.0;
    for (std::size_t i = 0; i < at.size(); ++i) {
      expected += static_cast<double>(grads[i]) * static_cast<double>(direction[i]);
    }
    constexpr float kStep = 2e-3F;
    std::array<double, 2> losses{};
    for (const int side : {0, 1}) {
      for (std::size_t i = 0; i < at.size(); ++i) {
        opened.params[i] = at[i] + (side == 0 ? -kStep : kStep) * direction[i];
      }
      losses[static_cast<std::size_t>(side)] = test::loss_and_gradient(opened.transformer(), pass, dropout, 1.0F, ignored);
    }
    // the loss is a sum of fp32 terms of size 10: differences of 1e-5 over a step of 2e-3, and the cubic term
    EXPECT_NEAR((losses[1] - losses[0]) / (2.0 * static_cast<double>(kStep)), expected, 0.01 * std::abs(expected) + 2e-2);
  }
}

TEST(Gradient, RecomputationGivesTheSameBits) {
  const AdapterSpec spec{8, 16.0, 0.1, false, {"q_proj", "down_proj"}};
  const TestBatch pass = small_pass();
  const auto comm = make_single_rank();
  std::vector<std::vector<float>> grads;
  for (const Recompute recompute : {Recompute::none, Recompute::block}) {
    OpenedModel opened(source("demo/model"), {Quantization::nf4}, *comm, 64, recompute, &spec);
    opened.params = random_factors(opened.params.size());
    grads.emplace_back(opened.params.size());
    test::loss_and_gradient(opened.transformer(), pass, {0.1F, 1, 2}, 1.0F, grads.back());
  }
  EXPECT_GT(largest(grads[0]), 0.0);
  EXPECT_EQ(std::memcmp(grads[0].data(), grads[1].data(), grads[0].size() * sizeof(float)), 0);
}

TEST(Gradient, DoesNotDependOnThreads) {
  const AdapterSpec spec{8, 16.0, 0.1, false, {"all-linear"}};
  const TestBatch pass = small_pass();
  const auto comm = make_single_rank();
  std::vector<std::vector<float>> grads;
  for (const int threads : {1, 2, 3}) {
    OpenedModel opened(source("demo/model"), {Quantization::nf4}, *comm, 64, Recompute::block, &spec);
    opened.params = random_factors(opened.params.size());
    opened.stream.threads = threads;
    grads.emplace_back(opened.params.size());
    test::loss_and_gradient(opened.transformer(), pass, {0.1F, 1, 2}, 1.0F, grads.back());
    EXPECT_EQ(std::memcmp(grads[0].data(), grads.back().data(), grads[0].size() * sizeof(float)), 0) << threads << " threads";
  }
}

/// Packed sequences do not attend to each other: the loss of two is the sum of their separate losses.
TEST(Segments, DoNotSeeEachOther) {
  const TestBatch both = small_pass();
  const auto comm = make_single_rank();
  const OpenedModel opened(source("demo/model"), {Quantization::none}, *comm, 64);
  double alone = 0.0;
  for (std::size_t s = 0; s + 1 < both.cu_seqlens.size(); ++s) {
    const auto from = static_cast<std::size_t>(both.cu_seqlens[s]);
    const auto count = static_cast<std::size_t>(both.cu_seqlens[s + 1]) - from;
    const auto part = [&](const std::vector<std::int32_t>& all) {
      const auto first = all.begin() + static_cast<std::ptrdiff_t>(from);
      return std::vector<std::int32_t>(first, first + static_cast<std::ptrdiff_t>(count));
    };
    const MicroBatch one{
        part(both.ids), part(both.targets), part(both.positions), part(both.sample_ids), {0, static_cast<std::int32_t>(count)}};
    alone += test::loss_of(opened.transformer(), one);
  }
  // a sum of 150 nats over 14 tokens with logits rounded in fp32; attention across sequences would change it by nats
  EXPECT_NEAR(test::loss_of(opened.transformer(), both), alone, 1e-6 * alone);
}

}  // namespace
}  // namespace lora_dist::gradient_test

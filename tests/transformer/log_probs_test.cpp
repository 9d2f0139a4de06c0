// Log-probabilities compared with transformers (tests/golden/README.md).
#include <gtest/gtest.h>

#include "src/comm/single_rank.h"
#include "tests/support/model_fixture.h"

namespace lora_dist::log_probs_test {
namespace {

using test::OpenedModel;
using test::read_json;
using test::source;
using test::TestBatch;

/// All rows in one micro-batch, which also tests that segments do not attend to each other.
void expect_golden(const std::filesystem::path& model, const BaseFormat& format, const std::filesystem::path& golden,
                   double tolerance) {
  const nlohmann::json expected = read_json(golden);
  TestBatch pass;
  for (const auto& row : expected["rows"]) {
    const auto ids = row["input_ids"].get<std::vector<std::int32_t>>();
    pass.add(ids, ids);
  }
  const auto comm = make_single_rank();
  const auto tokens = static_cast<std::int64_t>(pass.ids.size());
  const OpenedModel opened(model, format, *comm, tokens);
  std::vector<float> log_prob(pass.ids.size());
  std::vector<std::int32_t> argmax(pass.ids.size());
  forward_log_probs(opened.transformer(), pass, log_prob, argmax);
  std::size_t at = 0;
  for (const auto& row : expected["rows"]) {
    const std::size_t length = row["input_ids"].size();
    for (std::size_t i = 0; i < length; ++i) {
      if (i + 1 < length) {
        ASSERT_NEAR(log_prob[at + i], row["logprobs"][i + 1].get<double>(), tolerance) << row["id"] << " token " << i + 1;
      }
      if (row["argmax_margin"][i].get<double>() > 1e-3) {  // a tie may go either way
        ASSERT_EQ(argmax[at + i], row["argmax"][i].get<int>()) << row["id"] << " token " << i;
      }
    }
    at += length;
  }
}

// fp32 rounding over a few layers; the oracle itself differs by 4e-6 between one thread and two.
constexpr double kFp32 = 5e-5;
// Products of dequantized weights are as exact as those of plain ones; the offset of double quantization may differ in its last
// bits.
constexpr double kNf4 = 1e-4;

TEST(LogProbs, Stories260KEqualsTransformers) {
  expect_golden(source("demo/model"), {Quantization::none}, source("tests/golden/stories260k/logprobs_fp32.json"), kFp32);
}
TEST(LogProbs, Stories260KInNf4EqualsTransformersOnBitsandbytesWeights) {
  expect_golden(source("demo/model"), {Quantization::nf4, false}, source("tests/golden/stories260k/logprobs_nf4.json"), kNf4);
}
TEST(LogProbs, Stories260KInNf4WithDoubleQuantization) {
  expect_golden(source("demo/model"), {Quantization::nf4, true}, source("tests/golden/stories260k/logprobs_nf4_double.json"),
                kNf4);
}
TEST(LogProbs, Stories260KInFp4EqualsTransformersOnBitsandbytesWeights) {
  expect_golden(source("demo/model"), {Quantization::fp4, false}, source("tests/golden/stories260k/logprobs_fp4.json"), kNf4);
  expect_golden(source("demo/model"), {Quantization::fp4, true}, source("tests/golden/stories260k/logprobs_fp4_double.json"),
                kNf4);
}
TEST(LogProbs, Stories260KInInt8EqualsTransformersOnBitsandbytesWeights) {
  for (const bool double_quant : {false, true}) {  // int8 ignores it
    expect_golden(source("demo/model"), {Quantization::int8, double_quant}, source("tests/golden/stories260k/logprobs_int8.json"),
                  kFp32);
  }
}
TEST(LogProbs, TinyLlamaWithBiasesTwoShardsAndConfigOfTransformers4) {
  expect_golden(source("tests/golden/tiny_llama_bias"), {Quantization::none},
                source("tests/golden/tiny_llama_bias/logprobs_fp32.json"), kFp32);
}
TEST(LogProbs, TinyLlamaWithItsOwnHeadDimAndConfigOfTransformers5) {
  expect_golden(source("tests/golden/tiny_llama_head_dim"), {Quantization::none},
                source("tests/golden/tiny_llama_head_dim/logprobs_fp32.json"), kFp32);
}

/// The reference program's own numbers: logits after BOS, greedy ids, mean loss of a story.
TEST(Reference, LogitsGreedyIdsAndLossOfRunC) {
  const nlohmann::json reference = read_json(source("tests/golden/stories260k/reference_run_c.json"));
  const auto ids = reference["greedy_from_bos"]["ids"].get<std::vector<std::int32_t>>();
  const auto logits = reference["greedy_from_bos"]["logits_pos0"].get<std::vector<float>>();
  const auto comm = make_single_rank();
  const OpenedModel opened(source("demo/model"), {Quantization::none}, *comm, 512);
  Arena arena;
  KvCache cache = make_kv_cache(opened.spec, 512, arena);
  for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
    const std::vector<float> next = forward_next(opened.transformer(), std::span(ids).subspan(i, 1), cache);
    for (std::size_t v = 0; i == 0 && v < logits.size(); ++v) {
      ASSERT_NEAR(next[v], logits[v], 2e-5) << v;  // transformers differs from run.c by 5.3e-6
    }
    ASSERT_EQ(std::max_element(next.begin(), next.end()) - next.begin(), ids[i + 1]) << "token " << i + 1;
  }
}

TEST(Reference, MeanLossOfAStory) {
  TestBatch pass;
  const nlohmann::json golden = read_json(source("tests/golden/stories260k/logprobs_fp32.json"));
  for (const auto& row : golden["rows"]) {
    if (row["id"] == "story0") {
      const auto ids = row["input_ids"].get<std::vector<std::int32_t>>();
      pass.add(ids, ids);
    }
  }
  ASSERT_FALSE(pass.ids.empty());
  const auto comm = make_single_rank();
  const OpenedModel opened(source("demo/model"), {Quantization::none}, *comm, 512);
  const double loss = test::loss_of(opened.transformer(), pass) / static_cast<double>(pass.target_tokens());
  EXPECT_NEAR(loss, 1.287848, 2e-6);
}

/// A sequence processed at once and token by token gives the same next logits.
TEST(KeyValueCache, EqualsTheWholeSequence) {
  const std::vector<std::int32_t> ids = {1, 403, 407, 261, 378, 270, 400, 290};
  const auto comm = make_single_rank();
  const OpenedModel opened(source("demo/model"), {Quantization::nf4}, *comm, 64);
  Arena arena;
  KvCache cache = make_kv_cache(opened.spec, 64, arena);
  const std::vector<float> expected = forward_next(opened.transformer(), ids, cache);
  cache.length = 0;
  std::vector<float> one_by_one;
  for (const std::int32_t id : ids) {
    one_by_one = forward_next(opened.transformer(), std::span(&id, 1), cache);
  }
  for (std::size_t v = 0; v < expected.size(); ++v) {
    ASSERT_NEAR(one_by_one[v], expected[v], 2e-5);
  }
}

}  // namespace
}  // namespace lora_dist::log_probs_test

// Every model family against transformers (tests/golden/families): log-probabilities, greedy answers; and gradients.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "src/comm/single_rank.h"
#include "src/inference/generate.h"
#include "tests/support/model_fixture.h"
#include "tests/support/scratch.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::families_test {
namespace {

using test::OpenedModel;
using test::read_json;
using test::source;
using test::TestBatch;

using Ids = std::vector<std::int32_t>;

class Families : public testing::TestWithParam<const char*> {
 protected:
  Families() : folder_(source("tests/golden/families") / GetParam()), golden_(read_json(folder_ / "golden.json")) {}

  /// The scored rows as one micro-batch, which also tests that attention does not cross segments.
  TestBatch scored_rows() const {
    TestBatch pass;
    for (const auto& row : golden_["rows"]) {
      pass.add(row.get<Ids>(), row.get<Ids>());
    }
    return pass;
  }

  /// Some rows of the training data, with untrained labels.
  TestBatch trained_rows() const {
    TestBatch pass;
    for (std::size_t i = 0; i < 3; ++i) {
      const auto& row = golden_["training_rows"][i];
      pass.add(row["input_ids"].get<Ids>(), row["labels"].get<Ids>());
    }
    return pass;
  }

  void expect_log_probs(const BaseFormat& format, const std::string& part, double tolerance) const {
    expect_log_probs_of(folder_, format, part, tolerance);
  }

  void expect_log_probs_of(const std::filesystem::path& model, const BaseFormat& format, const std::string& part,
                           double tolerance) const {
    const TestBatch pass = scored_rows();
    const auto comm = make_single_rank();
    const OpenedModel opened(model, format, *comm, static_cast<std::int64_t>(pass.ids.size()));
    std::vector<float> log_prob(pass.ids.size());
    std::vector<std::int32_t> argmax(pass.ids.size());
    forward_log_probs(opened.transformer(), pass, log_prob, argmax);
    std::size_t at = 0;
    double largest = 0.0;
    for (const auto& expected : golden_[part]["logprobs"]) {
      for (std::size_t i = 0; i < expected.size(); ++i) {
        ASSERT_NEAR(log_prob[at + i], expected[i].get<double>(), tolerance) << "token " << i + 1 << " of " << expected.size() + 1;
        largest = std::max(largest, std::abs(log_prob[at + i] - expected[i].get<double>()));
      }
      at += expected.size() + 1;
    }
    std::printf("%-18s %-4s: largest difference of a log-probability %.2e\n", GetParam(), part.c_str(), largest);
  }

  std::filesystem::path folder_;
  nlohmann::json golden_;
};

std::vector<float> random_factors(std::size_t count) {
  std::vector<float> values(count);
  std::uint32_t state = 12345;
  for (float& value : values) {
    state = state * 1664525U + 1013904223U;
    value = (static_cast<float>(state >> 8) * 0x1p-24F - 0.5F) * 0.2F;
  }
  return values;
}

// Rounding of fp32 over two or three layers.
TEST_P(Families, LogProbabilitiesEqualTransformers) { expect_log_probs({Quantization::none}, "none", 5e-5); }

// The same products with quantized weights: codes and scales equal bitsandbytes'.
TEST_P(Families, LogProbabilitiesInNf4EqualTransformersOnBitsandbytesWeights) {
  expect_log_probs({Quantization::nf4, false}, "nf4", 5e-5);
}

/// Token by token over a cache: windows, rotations and learned positions count from the start of the text.
TEST_P(Families, GreedyAnswersEqualTransformers) {
  for (const bool nf4 : {false, true}) {
    const auto comm = make_single_rank();
    const OpenedModel opened(folder_, {nf4 ? Quantization::nf4 : Quantization::none, false}, *comm, 64);
    Arena arena;
    KvCache cache = make_kv_cache(opened.spec, 64, arena);
    const Ids expected = golden_[nf4 ? "nf4" : "none"]["greedy"].get<Ids>();
    SamplingOptions options;
    options.max_new_tokens = static_cast<std::int64_t>(expected.size());
    EXPECT_EQ(generate(opened.transformer(), golden_["rows"][1].get<Ids>(), cache, options, {}, *comm), expected);
  }
}

/// Along random directions the loss changes as the gradient says, through every linear of the block.
TEST_P(Families, GradientsEqualFiniteDifferences) {
  const AdapterSpec spec{3, 6.0, 0.0, false, {"all-linear"}};
  const TestBatch pass = trained_rows();
  const auto comm = make_single_rank();
  OpenedModel opened(folder_, {Quantization::none}, *comm, static_cast<std::int64_t>(pass.ids.size()), Recompute::block, &spec);
  const std::vector<float> at = random_factors(opened.params.size());
  opened.params = at;
  std::vector<float> grads(at.size(), NAN);
  test::loss_and_gradient(opened.transformer(), pass, {}, 1.0F, grads);
  for (const auto& [path, parameter] : named_parameters(opened.layout)) {
    double expected = 0.0;
    std::vector<float> direction(at.size(), 0.0F);
    double norm = 0.0;
    for (std::int64_t i = parameter.offset; i < parameter.offset + parameter.shape.count(); ++i) {
      const auto e = static_cast<std::size_t>(i);
      norm += static_cast<double>(grads[e]) * static_cast<double>(grads[e]);
    }
    norm = std::sqrt(norm);
    ASSERT_GT(norm, 0.0) << path;
    for (std::int64_t i = parameter.offset; i < parameter.offset + parameter.shape.count(); ++i) {
      const auto e = static_cast<std::size_t>(i);
      direction[e] = static_cast<float>(static_cast<double>(grads[e]) / norm);  // steepest: the most to measure
      expected += static_cast<double>(grads[e]) * static_cast<double>(direction[e]);
    }
    const auto loss_at = [&](float step) {
      for (std::size_t i = 0; i < at.size(); ++i) {
        opened.params[i] = at[i] + step * direction[i];
      }
      return test::loss_of(opened.transformer(), pass);
    };
    constexpr float kStep = 0.01F;
    // Five points, error h^4: rounding of an fp32 loss of some 200 nats (1e-5 a term) over the step remains.
    const double slope = (8.0 * (loss_at(kStep) - loss_at(-kStep)) - (loss_at(2.0F * kStep) - loss_at(-2.0F * kStep))) /
                         (12.0 * static_cast<double>(kStep));
    EXPECT_NEAR(slope, expected, 4e-3 * std::abs(expected) + 2e-2) << path << " " << parameter.name;
  }
}

/// Recomputation and the number of threads do not change the result.
TEST_P(Families, SameBitsHoweverMuchIsKeptAndOnAnyThreads) {
  const AdapterSpec spec{3, 6.0, 0.2, false, {"all-linear"}};
  const TestBatch pass = trained_rows();
  const auto comm = make_single_rank();
  std::vector<float> first;
  for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::block}) {
    for (const int threads : {1, 3}) {
      OpenedModel opened(folder_, {Quantization::nf4}, *comm, static_cast<std::int64_t>(pass.ids.size()), recompute, &spec);
      opened.params = random_factors(opened.params.size());
      opened.stream.threads = threads;
      std::vector<float> grads(opened.params.size(), NAN);
      test::loss_and_gradient(opened.transformer(), pass, {0.2F, 1, 2}, 1.0F, grads);
      first = first.empty() ? grads : first;
      ASSERT_EQ(std::memcmp(grads.data(), first.data(), first.size() * sizeof(float)), 0)
          << "recompute " << static_cast<int>(recompute) << ", " << threads << " threads";
    }
  }
}

TEST_P(Families, SameLossOnAnyNumberOfRanks) {
  const TestBatch pass = scored_rows();
  double single = 0.0;
  for (const int ranks : {1, 3}) {
    test::on_ranks(ranks, [&](Communicator& comm) {
      const OpenedModel opened(folder_, {Quantization::nf4}, comm, static_cast<std::int64_t>(pass.ids.size()));
      const double loss = test::loss_of(opened.transformer(), pass);
      if (ranks == 1) {
        single = loss;
      }
      EXPECT_EQ(loss, single);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Families,
                         testing::Values("llama3", "mistral_window", "qwen2_window", "qwen3", "gemma", "gpt2", "gpt2_bare",
                                         "gpt_neox_parallel", "gpt_neox_serial", "exaone3", "exaone4_hybrid", "exaone4_global",
                                         "gemma3", "gemma2", "phi3", "phi3_window", "smollm3", "granite", "glm4", "hyperclovax",
                                         "hyperclovax_plain", "cohere2", "ministral3", "stablelm", "stablelm_parallel",
                                         "starcoder2", "nemotron", "olmo2", "olmo3", "internlm3"),
                         [](const auto& info) { return std::string(info.param); });

/// The same models as GGUF files (tests/golden/make_gguf.py). Qwen2's has no window there, as GGUF files of Qwen2 never have.
class GgufFamilies : public Families {};

TEST_P(GgufFamilies, LogProbabilitiesEqualTransformers) {
  expect_log_probs_of(source("tests/golden/gguf") / (std::string(GetParam()) + ".gguf"), {Quantization::none}, "none", 5e-5);
}

INSTANTIATE_TEST_SUITE_P(Models, GgufFamilies,
                         testing::Values("llama3", "qwen3", "gemma", "gpt2", "gpt_neox_parallel", "exaone3", "exaone4_hybrid"),
                         [](const auto& info) { return std::string(info.param); });

/// Files of llama.cpp's own converter, some of them of changed models (tests/golden/make_gguf_families.py).
class ConvertedFamilies : public Families {
 protected:
  ConvertedFamilies() { golden_ = read_json(source("tests/golden/gguf/families.json"))[GetParam()]; }
};

TEST_P(ConvertedFamilies, LogProbabilitiesEqualTransformers) {
  expect_log_probs_of(source("tests/golden/gguf") / (std::string(GetParam()) + ".gguf"), {Quantization::none}, "none", 5e-5);
}

INSTANTIATE_TEST_SUITE_P(Models, ConvertedFamilies,
                         testing::Values("gemma2", "gemma3", "phi3", "phi3_window", "olmo2", "olmo3", "smollm3", "glm4",
                                         "granite", "cohere2", "stablelm", "stablelm_parallel", "starcoder2", "nemotron",
                                         "ministral3", "internlm3"),
                         [](const auto& info) { return std::string(info.param); });

/// Texts longer than the window, whose cached keys beyond the window must be masked, or longer than the positions for which
/// longrope has its short factors. Each id of an answer is the most probable one of a forward pass over the whole text.
TEST(WindowedFamilies, GreedyAnswersOverACacheAreThoseOfTheWholeText) {
  for (const char* name : {"mistral_window", "qwen2_window", "exaone4_hybrid", "gemma3", "phi3"}) {
    const std::filesystem::path folder = source("tests/golden/families") / name;
    const auto comm = make_single_rank();
    const OpenedModel opened(folder, {Quantization::none}, *comm, 84);
    Arena arena;
    KvCache cache = make_kv_cache(opened.spec, 84, arena);
    for (const auto& each : read_json(folder / "greedy.json")) {
      const Ids prompt = each["prompt"].get<Ids>();
      const Ids expected = each["answer"].get<Ids>();
      ASSERT_EQ(expected.size(), 24U);
      SamplingOptions options;
      options.max_new_tokens = 24;
      EXPECT_EQ(generate(opened.transformer(), prompt, cache, options, {}, *comm), expected) << name << ", " << prompt.size();
    }
  }
}

/// GPT-2 as OpenAI published it, from its config.json alone.
TEST(Gpt2, HasPeftsNumbersOfParameters) {
  const Scratch folder;
  folder.write("config.json",
               R"({"model_type":"gpt2","n_embd":768,"n_layer":12,"n_head":12,"n_positions":1024,"vocab_size":50257})");
  const ModelSpec spec = read_model_config(folder.path());
  EXPECT_EQ(parameter_count(spec), 124'439'808);
  EXPECT_EQ(trainable_line(make_adapter_layout(spec, {8, 32.0, 0.0, false, {"c_attn", "c_proj"}}), spec),
            "trainable params: 811,008 || all params: 125,250,816 || trainable%: 0.6475");
}

}  // namespace
}  // namespace lora_dist::families_test

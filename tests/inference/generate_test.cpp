// Sampling, and generation on several ranks.
#include "src/inference/generate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <map>

#include "src/base/base_hash.h"
#include "src/comm/single_rank.h"
#include "src/core/error.h"
#include "tests/support/model_fixture.h"
#include "tests/support/scratch.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::generate_test {
namespace {

using test::OpenedModel;
using test::source;

constexpr std::array<float, 5> kLogits = {0.0F, 3.0F, 1.0F, 3.0F, -2.0F};

TEST(ChooseToken, GreedyTakesTheLowestIdAmongEquals) { EXPECT_EQ(choose_token(kLogits, {}, 0), 1); }

/// Frequencies over many positions are the softmax of logits / temperature.
TEST(ChooseToken, FollowsTheProbabilities) {
  SamplingOptions options;
  options.temperature = 2.0;
  std::map<std::int32_t, double> seen;
  constexpr int kDraws = 40000;
  for (int i = 0; i < kDraws; ++i) {
    seen[choose_token(kLogits, options, i)] += 1.0 / kDraws;
  }
  double sum = 0.0;
  for (const float logit : kLogits) {
    sum += std::exp(static_cast<double>(logit) / 2.0);
  }
  for (std::int32_t id = 0; id < 5; ++id) {
    const double p = std::exp(static_cast<double>(kLogits[static_cast<std::size_t>(id)]) / 2.0) / sum;
    EXPECT_NEAR(seen[id], p, 4.0 * std::sqrt(p / kDraws)) << id;  // four standard deviations
  }
}

TEST(ChooseToken, TopKAndTopPCutTheTail) {
  SamplingOptions options;
  options.temperature = 5.0;
  for (int i = 0; i < 200; ++i) {
    options.top_k = 1;
    EXPECT_EQ(choose_token(kLogits, options, i), 1);
    options.top_k = 2;
    const std::int32_t of_two = choose_token(kLogits, options, i);
    EXPECT_TRUE(of_two == 1 || of_two == 3);
    SamplingOptions nucleus;
    nucleus.temperature = 1.0;
    nucleus.top_p = 0.5;  // token 1 alone has 0.44, with token 3 0.88
    const std::int32_t of_nucleus = choose_token(kLogits, nucleus, i);
    EXPECT_TRUE(of_nucleus == 1 || of_nucleus == 3);
  }
}

TEST(ChooseToken, DependsOnSeedAndPositionAlone) {
  SamplingOptions a;
  a.temperature = 1.0;
  a.seed = 1;
  SamplingOptions b = a;
  b.seed = 2;
  int different = 0;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(choose_token(kLogits, a, i), choose_token(kLogits, a, i));
    different += choose_token(kLogits, a, i) != choose_token(kLogits, b, i) ? 1 : 0;
  }
  EXPECT_GT(different, 10);
}

TEST(Generate, SameTokensOnEveryNumberOfRanks) {
  const std::vector<std::int32_t> prompt = {1, 403, 407};
  std::vector<std::vector<std::int32_t>> answers;
  for (const int ranks : {1, 2, 3}) {
    std::vector<std::int32_t> answer;
    test::on_ranks(ranks, [&](Communicator& comm) {
      const OpenedModel opened(source("demo/model"), {Quantization::nf4}, comm, 64);
      Arena arena;
      KvCache cache = make_kv_cache(opened.spec, 64, arena);
      SamplingOptions options;
      options.temperature = 0.8;
      options.max_new_tokens = 20;
      const std::vector<std::int32_t> made = generate(opened.transformer(), prompt, cache, options, {}, comm);
      EXPECT_EQ(made.size(), 20U);
      if (comm.rank() == 0) {
        answer = made;
      }
    });
    answers.push_back(answer);
    EXPECT_EQ(answers.front(), answers.back());
  }
}

TEST(Generate, StopsAtAStopIdAndAtAFullCache) {
  const std::vector<std::int32_t> prompt = {1};
  test::on_ranks(1, [&](Communicator& comm) {
    OpenedModel opened(source("demo/model"), {Quantization::none}, comm, 64);
    Arena arena;
    KvCache cache = make_kv_cache(opened.spec, 10, arena);
    const std::vector<std::int32_t> full = generate(opened.transformer(), prompt, cache, {}, {}, comm);
    EXPECT_EQ(full.size(), 10U);  // nine of them are in the cache beside the prompt
    const std::vector<std::int64_t> stop = {full[3]};
    const std::vector<std::int32_t> stopped = generate(opened.transformer(), prompt, cache, {}, stop, comm);
    EXPECT_EQ(stopped, std::vector<std::int32_t>(full.begin(), full.begin() + 3));
    opened.base.final_norm.weight[0] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_THROW(generate(opened.transformer(), prompt, cache, {}, {}, comm), Error);
  });
}

TEST(BaseHash, IsTheSameOnEveryMeshAndChangesWithOneBit) {
  const Scratch scratch;
  const std::filesystem::path folder = scratch / "model";
  std::filesystem::copy(source("demo/model"), folder);
  const auto hash_on = [&](int ranks) {
    std::string hash;
    test::on_ranks(ranks, [&](Communicator& comm) {
      const std::string mine = base_model_hash(folder, read_model_directory(folder), comm);
      if (comm.rank() == 0) {
        hash = mine;
      }
    });
    return hash;
  };
  const std::string before = hash_on(1);
  EXPECT_EQ(before.size(), 64U);
  EXPECT_EQ(hash_on(3), before);
  std::fstream file(folder / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(500000);
  file.put('\x55');
  file.close();
  EXPECT_NE(hash_on(2), before);
}

/// The name is the user's; the keys are in the file.
TEST(BaseHash, OfAGgufFileIsThatOfItsBytes) {
  const Scratch scratch;
  const auto hash_of = [](const std::filesystem::path& file) {
    const auto comm = make_single_rank();
    return base_model_hash(file, read_model_directory(file), *comm);
  };
  std::filesystem::copy_file(source("tests/golden/gguf/qwen3.gguf"), scratch / "other.gguf");
  const std::string before = hash_of(source("tests/golden/gguf/qwen3.gguf"));
  EXPECT_EQ(hash_of(scratch / "other.gguf"), before);
  std::fstream file(scratch / "other.gguf", std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(50000);
  file.put('\x55');
  file.close();
  EXPECT_NE(hash_of(scratch / "other.gguf"), before);
}

}  // namespace
}  // namespace lora_dist::generate_test

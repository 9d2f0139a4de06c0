// Virtual tokens before every sequence: against real tokens, against finite differences, and on ranks that share a micro-batch.
#include "src/transformer/virtual_tokens.h"

#include <gtest/gtest.h>

#include <cmath>

#include "src/adapter/adapter_shard.h"
#include "src/comm/single_rank.h"
#include "src/transformer/embed.h"
#include "tests/support/model_fixture.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::virtual_tokens_test {
namespace {

using test::on_ranks;
using test::OpenedModel;
using test::source;
using test::TestBatch;
using Ids = std::vector<std::int32_t>;

constexpr std::int64_t kVirtual = 3;

AdapterSpec spec_of(const AdapterMethod& method) {
  AdapterSpec spec;
  spec.method = &method;
  spec.virtual_tokens = kVirtual;
  return spec;
}

/// Sequences of these ids after the virtual tokens; the last virtual token predicts the first id if `predict`.
MicroBatch batch_of(const std::vector<Ids>& sequences, bool predict) {
  TestBatch batch;
  batch.virtual_tokens = kVirtual;
  for (const Ids& sequence : sequences) {
    Ids ids(static_cast<std::size_t>(kVirtual), kVirtualToken);
    Ids labels(static_cast<std::size_t>(kVirtual), kNotTrained);
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    labels.insert(labels.end(), sequence.begin(), sequence.end());
    labels[static_cast<std::size_t>(kVirtual)] = predict ? sequence[0] : kNotTrained;
    batch.add(ids, labels);
  }
  return batch;
}

const std::vector<Ids> kSequences = {{1, 40, 7, 26, 37, 27, 40, 29, 44, 12}, {1, 9, 33, 50, 27, 22}};

/// A number between -0.5 and 0.5.
float number(std::size_t i, std::uint32_t seed) {
  std::uint32_t state = static_cast<std::uint32_t>(i) * 2654435761U + seed;
  state = (state ^ (state >> 16)) * 2246822519U;
  return static_cast<float>(state >> 8) * 0x1p-24F - 0.5F;
}

class Families : public testing::TestWithParam<const char*> {
 protected:
  static std::filesystem::path folder() { return source("tests/golden/families") / GetParam(); }
};

/// Trained rows that equal those of real tokens compute what those tokens do, with Gemma's scale of the embedding, Granite's
/// scale of the model's input and GPT-2's positions.
TEST_P(Families, PromptOfRealRowsEqualsRealTokens) {
  const auto comm = make_single_rank();
  const AdapterSpec spec = spec_of(prompt_method());
  OpenedModel opened(folder(), {Quantization::none}, *comm, 64, Recompute::block, &spec);
  const Ids prompt = {5, 17, 30};
  embedding_rows(opened.transformer(), prompt, view(opened.params.data(), opened.layout.virtual_tokens.parameter.shape));
  TestBatch real;
  for (const Ids& sequence : kSequences) {
    Ids ids = prompt;
    ids.insert(ids.end(), sequence.begin(), sequence.end());
    Ids labels = ids;
    labels[1] = labels[2] = kNotTrained;
    real.add(ids, labels);
  }
  const MicroBatch batch = batch_of(kSequences, true);
  EXPECT_EQ(batch.target_tokens(), real.target_tokens());
  EXPECT_EQ(test::loss_of(opened.transformer(), batch), test::loss_of(opened.transformer(), real));

  KvCache cache = make_kv_cache(opened.spec, 16, opened.arena);
  const std::vector<float> logits = forward_next(opened.transformer(), kSequences[1], cache);
  EXPECT_EQ(cache.length, kVirtual + 6);
  const OpenedModel base(folder(), {Quantization::none}, *comm, 64);
  Ids all = prompt;
  all.insert(all.end(), kSequences[1].begin(), kSequences[1].end());
  KvCache plain = make_kv_cache(base.spec, 16, opened.arena);
  EXPECT_EQ(forward_next(base.transformer(), all, plain), logits);
  EXPECT_EQ(forward_next(base.transformer(), Ids{4}, plain), forward_next(opened.transformer(), Ids{4}, cache));
}

void expect_finite_differences(const std::filesystem::path& folder, const AdapterMethod& method) {
  const auto comm = make_single_rank();
  const AdapterSpec spec = spec_of(method);
  OpenedModel opened(folder, {Quantization::none}, *comm, 64, Recompute::block, &spec);
  for (std::size_t i = 0; i < opened.params.size(); ++i) {
    opened.params[i] = 2.0F * number(i, 1);
  }
  const MicroBatch batch = batch_of(kSequences, opened.layout.virtual_tokens.predict());
  std::vector<float> grads(opened.params.size(), NAN);
  std::vector<float> ignored(grads.size());
  test::loss_and_gradient(opened.transformer(), batch, {}, 1.0F, grads);
  const std::vector<float> at = opened.params;
  for (std::uint32_t trial = 0; trial < 4; ++trial) {
    double expected = 0.0;
    std::vector<float> direction(grads.size());
    for (std::size_t i = 0; i < grads.size(); ++i) {
      direction[i] = number(i, 2 + trial);
      expected += static_cast<double>(grads[i]) * static_cast<double>(direction[i]);
    }
    constexpr float kStep = 4e-3F;
    const auto loss_at = [&](float step) {
      for (std::size_t i = 0; i < at.size(); ++i) {
        opened.params[i] = at[i] + step * direction[i];
      }
      return test::loss_and_gradient(opened.transformer(), batch, {}, 1.0F, ignored);
    };
    const double slope = (loss_at(kStep) - loss_at(-kStep)) / (2.0 * static_cast<double>(kStep));
    // the loss is a sum of fp32 terms of size 4: differences of 1e-5 over a step of 4e-3, and the cubic term
    EXPECT_NEAR(slope, expected, 0.01 * std::abs(expected) + 1e-2) << method.name;
  }
}

TEST_P(Families, GradientsEqualFiniteDifferences) {
  expect_finite_differences(folder(), prompt_method());
  expect_finite_differences(folder(), prefix_method());
}

/// The loss and the whole gradient, summed over the ranks that share the micro-batch.
struct Outcome {
  double loss = 0.0;
  std::vector<float> gradients;
};

Outcome outcome_of(const std::filesystem::path& folder, const AdapterMethod& method, Communicator& row, bool sequence_parallel,
                   Recompute recompute = Recompute::block) {
  const ModelSpec spec = read_model_config(folder);
  const TpShard tp = tp_shard(spec, row.rank(), row.size());
  const auto shards = row.split(row.rank());
  Arena arena;
  const FrozenBase base =
      load_frozen_base(spec, read_model_directory(folder), {Quantization::none}, {*shards, row, row, tp}, {arena, Stream{}});
  WeightWindow window(base, *shards, arena, Stream{}, DType::f32, 1);
  const AdapterLayout whole = make_adapter_layout(spec, spec_of(method));
  const AdapterShard part = make_adapter_shard(whole, spec, tp);
  WorkspaceOptions options{23, 23, true, recompute};
  options.sequence_parallel = sequence_parallel;
  const Workspace workspace = make_workspace(base, part.layout, options, arena, Stream{});
  std::vector<float> all(static_cast<std::size_t>(whole.count));
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i] = 2.0F * number(i, 1);
  }
  std::vector<float> params = all;
  if (!part.parameters.empty()) {
    params.resize(static_cast<std::size_t>(part.layout.count));
    take_shard(part, all, params, Stream{});
  }
  const ForwardContext model{&base, &part.layout, &window, &workspace, params, Stream{}, row.size() > 1 ? &row : nullptr};
  std::vector<float> grads(params.size(), NAN);
  Outcome outcome;
  outcome.loss = test::loss_and_gradient(model, batch_of(kSequences, whole.virtual_tokens.predict()), {}, 1.0F, grads);
  outcome.gradients.resize(all.size());
  if (part.parameters.empty()) {
    outcome.gradients = grads;
  }
  for (const ParameterShard& parameter : part.parameters) {
    for (std::int64_t r = 0, i = parameter.offset; r < parameter.in_whole.rows; ++r) {
      for (std::int64_t c = 0; c < parameter.in_whole.width; ++c, ++i) {
        outcome.gradients[static_cast<std::size_t>(parameter.in_whole.first(r) + c)] += grads[static_cast<std::size_t>(i)];
      }
    }
  }
  if (row.size() > 1) {
    row.all_reduce_sum(view(std::span(outcome.gradients)), WireKind::tensor_activation);
  }
  return outcome;
}

void expect_near(const Outcome& a, const Outcome& b) {
  EXPECT_NEAR(a.loss, b.loss, 1e-6 * b.loss);
  float most = 0.0F;
  float furthest = 0.0F;
  ASSERT_EQ(a.gradients.size(), b.gradients.size());
  for (std::size_t i = 0; i < a.gradients.size(); ++i) {
    ASSERT_TRUE(std::isfinite(a.gradients[i])) << i;
    most = std::max(most, std::fabs(b.gradients[i]));
    furthest = std::max(furthest, std::fabs(a.gradients[i] - b.gradients[i]));
  }
  EXPECT_GT(most, 0.0F);
  EXPECT_LT(furthest, 2e-5F * most);  // sums in another order, through two or three blocks
}

/// Four ranks share two kv heads, where the model has so many heads.
TEST_P(Families, GradientsOfTensorParallelRanksAddUp) {
  for (const AdapterMethod* method : {&prompt_method(), &prefix_method()}) {
    Outcome alone;
    on_ranks(1, [&](Communicator& row) { alone = outcome_of(folder(), *method, row, false); });
    const auto ranks = static_cast<int>(std::min<std::int64_t>(4, read_model_config(folder()).heads));
    for (const int of : {2, ranks}) {
      on_ranks(of, [&](Communicator& row) {
        expect_near(outcome_of(folder(), *method, row, false), alone);
        expect_near(outcome_of(folder(), *method, row, true), alone);
      });
    }
  }
}

TEST_P(Families, RecomputationGivesTheSameBits) {
  for (const AdapterMethod* method : {&prompt_method(), &prefix_method()}) {
    on_ranks(1, [&](Communicator& row) {
      const Outcome block = outcome_of(folder(), *method, row, false, Recompute::block);
      EXPECT_EQ(outcome_of(folder(), *method, row, false, Recompute::none).gradients, block.gradients);
      EXPECT_EQ(outcome_of(folder(), *method, row, false, Recompute::selective).gradients, block.gradients);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(All, Families,
                         testing::Values("llama3", "qwen3", "gpt2", "gpt_neox_parallel", "gemma", "gemma3", "granite", "phi3",
                                         "olmo2"),
                         [](const auto& info) { return std::string(info.param); });

/// A sequence's virtual tokens are those of that sequence: what other sequences are in the micro-batch changes nothing.
TEST(VirtualTokens, OfPackedSequencesDoNotSeeEachOther) {
  const auto comm = make_single_rank();
  for (const AdapterMethod* method : {&prompt_method(), &prefix_method()}) {
    const AdapterSpec spec = spec_of(*method);
    OpenedModel opened(source("tests/golden/families/llama3"), {Quantization::none}, *comm, 64, Recompute::block, &spec);
    for (std::size_t i = 0; i < opened.params.size(); ++i) {
      opened.params[i] = 2.0F * number(i, 1);
    }
    const auto loss = [&](const std::vector<Ids>& sequences) {
      return test::loss_of(opened.transformer(), batch_of(sequences, method->virtual_place == VirtualPlace::input));
    };
    const double both = loss(kSequences);
    EXPECT_NEAR(both, loss({kSequences[0]}) + loss({kSequences[1]}), 1e-6 * both);
    opened.params[0] += 0.5F;
    EXPECT_GT(std::abs(loss(kSequences) - both), 1e-4);
  }
}

}  // namespace
}  // namespace lora_dist::virtual_tokens_test

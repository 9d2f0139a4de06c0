// Trained embeddings, heads, norms and single rows beside LoRA: gradients compared with finite differences.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/elementwise/elementwise.h"
#include "src/comm/single_rank.h"
#include "tests/support/model_fixture.h"
#include "tests/support/random_floats.h"

namespace lora_dist::trained_tables_test {
namespace {

using test::OpenedModel;
using test::source;
using test::TestBatch;

struct Trained {
  const char* name;
  const char* folder;
  std::vector<std::string> modules_to_save;
  bool tie = false;
  TrainedTokens tokens = {};
};

const std::vector<Trained>& all_trained() {
  static const std::vector<Trained> all = {
      {"whole", "tiny_llama_bias", {"embed_tokens", "lm_head", "norm"}},
      {"rows", "tiny_llama_bias", {}, false, {{78, 1, 130, 29}, {0, 27, 130}}},
      {"head_alone", "families/gpt2", {"lm_head", "ln_f"}},                         // diverges from the tied embedding
      {"tied", "families/gemma2", {"embed_tokens"}, true},                          // scaled rows, capped logits
      {"tied_rows", "families/gemma2", {}, false, {{78, 1, 29}}},                   //
      {"scaled_rows", "families/granite", {}, false, {{78, 1, 29}}},                // scaled logits
      {"positions", "families/gpt2", {"wte"}},                                      // and learned positions
      {"rows_and_head", "tiny_llama_bias", {"lm_head"}, false, {{1, 78, 130}, {}}}  //
  };
  return all;
}

TestBatch small_batch() {
  TestBatch batch;
  batch.add({1, 40, 47, 26, 78, 27, 60, 29, 44, 12}, {1, 40, 47, 26, 78, 27, 60, 29, 44, 12});
  batch.add({1, 78, 33, 50, 71, 22}, {1, -100, -100, 50, 71, 29});
  return batch;
}

struct Opened {
  Opened(const Trained& trained, std::int64_t chunk_elements, Recompute recompute = Recompute::block) {
    spec.r = 2;
    spec.alpha = 4.0;
    spec.modules_to_save = trained.modules_to_save;
    spec.ensure_weight_tying = trained.tie;
    spec.trained_tokens = trained.tokens;
    spec.target_modules = {"all-linear"};
    model = std::make_unique<OpenedModel>(source("tests/golden") / trained.folder, BaseFormat{Quantization::none}, *comm, 64,
                                          recompute, &spec, chunk_elements);
    std::vector<float> values = testing_support::random_floats(std::ssize(model->params), 1, 0.3F);
    for (const TrainedNorm& norm : model->layout.norms) {
      for (const Parameter& parameter : norm.parameters) {
        for (std::int64_t i = 0; i < parameter.shape.count(); ++i) {
          values[static_cast<std::size_t>(parameter.offset + i)] += 1.0F;
        }
      }
    }
    model->params = values;
  }

  std::vector<float> gradient() const {
    std::vector<float> grads(model->params.size(), NAN);
    test::loss_and_gradient(model->transformer(), small_batch(), {}, 1.0F, grads);
    return grads;
  }

  AdapterSpec spec;
  std::unique_ptr<Communicator> comm = make_single_rank();
  std::unique_ptr<OpenedModel> model;
};

void PrintTo(const Trained& trained, std::ostream* out) { *out << trained.name; }

/// A row of a base that no ranks divide, as f32.
void copy_row(const VocabTable& table, std::int64_t id, float* to) {
  for (std::int64_t i = 0; i < table.chunks; ++i) {
    if (const IndexRange chunk = table.chunk(i); id >= chunk.begin && id < chunk.end) {
      const std::byte* from = static_cast<const std::byte*>(table.in_place(i, 0).data);
      from += static_cast<std::size_t>((id - chunk.begin) * table.cols) * size_of(table.dtype);
      cast({from, table.dtype, {table.cols}}, view(to, {table.cols}), Stream{});
    }
  }
}

class TrainedTables : public testing::TestWithParam<Trained> {};

TEST_P(TrainedTables, GradientsEqualFiniteDifferences) {
  for (const std::int64_t chunk_elements : {0, 1024}) {  // the vocabulary in one chunk, and in several
    const Opened opened(GetParam(), chunk_elements);
    const std::vector<float> grads = opened.gradient();
    const std::vector<float> at = opened.model->params;
    const std::vector<float> directions = testing_support::random_floats(std::ssize(at), 2);
    for (const auto& [path, parameter] : named_parameters(opened.model->layout)) {
      double expected = 0.0;
      const auto begin = static_cast<std::size_t>(parameter.offset);
      const std::size_t end = begin + static_cast<std::size_t>(parameter.shape.count());
      for (std::size_t i = begin; i < end; ++i) {
        expected += static_cast<double>(grads[i]) * static_cast<double>(directions[i]);
      }
      const auto loss_at = [&](float step) {
        opened.model->params = at;
        for (std::size_t i = begin; i < end; ++i) {
          opened.model->params[i] += step * directions[i];
        }
        return test::loss_of(opened.model->transformer(), small_batch());
      };
      constexpr float kStep = 0.005F;
      // Five points, error h^4: the rounding of an fp32 loss of some 70 nats over the step remains.
      const double slope = (8.0 * (loss_at(kStep) - loss_at(-kStep)) - (loss_at(2.0F * kStep) - loss_at(-2.0F * kStep))) /
                           (12.0 * static_cast<double>(kStep));
      EXPECT_NEAR(slope, expected, 5e-3 * std::abs(expected) + 2e-2) << path << " " << parameter.name;
    }
    opened.model->params = at;
  }
}

TEST_P(TrainedTables, RecomputationGivesTheSameBits) {
  const std::vector<float> first = Opened(GetParam(), 0, Recompute::none).gradient();
  EXPECT_EQ(Opened(GetParam(), 0, Recompute::selective).gradient(), first);
  EXPECT_EQ(Opened(GetParam(), 0, Recompute::block).gradient(), first);
}

/// Rows of the base change nothing: the model with them equals the one without.
TEST(TrainedTablesOfBase, RowsAsInTheBaseGiveItsLoss) {
  for (const Trained& trained : all_trained()) {
    const Opened opened(trained, 1024);
    OpenedModel& model = *opened.model;
    std::ranges::fill(model.params, 0.0F);  // LoRA's
    for (const TrainedNorm& norm : model.layout.norms) {
      for (std::size_t i = 0; i < norm.parameters.size(); ++i) {
        const BlockRest& rest = model.base.rest[static_cast<std::size_t>(norm.layer)];
        const NormWeights& frozen = norm.site == NormSite::last        ? model.base.final_norm
                                    : norm.site == NormSite::attention ? rest.attention_norm
                                                                       : rest.mlp_norm;
        std::ranges::copy(i == 0 ? frozen.weight : frozen.bias, model.params.begin() + norm.parameters[i].offset);
      }
    }
    for (const TrainedTable& table : model.layout.tables) {
      for (std::int64_t row = 0; row < table.parameter.shape[0]; ++row) {
        const std::int64_t id = table.is_whole() ? row : table.ids[static_cast<std::size_t>(row)];
        const VocabTable& of_base = table.site == TableSite::embedding ? model.base.embedding : model.base.head;
        copy_row(of_base, id, model.params.data() + table.parameter.offset + row * table.parameter.cols());
      }
    }
    const double with_rows = test::loss_of(model.transformer(), small_batch());
    const AdapterLayout none = empty_layout(model.spec);
    ForwardContext base = model.transformer();
    base.layout = &none;
    base.params = {};
    EXPECT_NEAR(with_rows, test::loss_of(base, small_batch()), 1e-5) << trained.name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, TrainedTables, testing::ValuesIn(all_trained()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace lora_dist::trained_tables_test

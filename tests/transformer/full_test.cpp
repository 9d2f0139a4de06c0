// Full fine-tuning: the gradients of every tensor of the base compared with finite differences; the same bits on every number of
// data ranks, for any recomputation and any number of micro-batches in flight.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <mutex>

#include "kernels/elementwise/copy.h"
#include "kernels/fixed_point/fixed_point.h"
#include "src/comm/single_rank.h"
#include "src/transformer/base_gradients.h"
#include "tests/support/model_fixture.h"
#include "tests/support/random_floats.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::full_test {
namespace {

using test::OpenedModel;
using test::source;
using test::TestBatch;

/// Ids all over the vocabulary.
TestBatch small_batch(const ModelSpec& spec, std::int32_t shift = 0) {
  const auto spread = static_cast<std::int32_t>(spec.vocab / 90);
  const auto ids_of = [&](std::vector<std::int32_t> ids) {
    for (std::int32_t& id : ids) {
      id = id < 0 ? id : id * spread;
    }
    return ids;
  };
  TestBatch batch;
  const std::vector<std::int32_t> ids = ids_of({1, 40, 47 + shift, 26, 78, 27, 60, 29, 44, 12});
  batch.add(ids, ids);
  batch.add(ids_of({1, 89, 33, 50 + shift, 71, 22}), ids_of({1, -100, -100, 50 + shift, 71, 22}));
  return batch;
}

/// A golden family, or the demo's model, whose vocabulary has several chunks.
std::filesystem::path folder_of(const std::string& name) {
  return source(name == "demo" ? "demo/model" : "tests/golden/families/" + name);
}

AdapterSpec full_spec() {
  AdapterSpec spec;
  spec.method = &full_method();
  return spec;
}

constexpr std::int64_t kSmallChunks = 2048;  // elements: several chunks, where the vocabulary has enough rows

struct FullModel {
  FullModel(const std::string& family, Communicator& comm, Recompute recompute = Recompute::block, int in_flight = 1)
      : spec(full_spec()),
        opened(folder_of(family), {Quantization::none}, comm, 64, recompute, &spec, kSmallChunks, true, in_flight) {
    const std::vector<float> random = testing_support::random_floats(static_cast<std::int64_t>(opened.params.size()), 1, 0.3F);
    std::copy(random.begin(), random.end(), opened.params.begin());
    for (const TrainedNorm& norm : opened.layout.norms) {
      for (std::int64_t i = 0; i < opened.spec.hidden; ++i) {
        opened.params[static_cast<std::size_t>(norm.parameters[0].offset + i)] += 1.0F;
      }
    }
    put();
  }

  void put() const { put_trained_vectors(opened.transformer(), opened.params); }

  /// The gradients of the flat buffer, and in trained.sums those of the matrices.
  std::vector<std::vector<float>> backward(std::span<const MicroBatch> batches) {
    zero(view(opened.trained.sums), opened.stream);
    BaseGradients gradients{opened.trained, 1.0F, kFixedPointLimit / 8.0F, std::vector<std::int64_t>(batches.size())};
    ForwardContext model = opened.transformer();
    model.base_gradients = &gradients;
    std::vector<std::vector<float>> grads(batches.size(), std::vector<float>(opened.params.size(), NAN));
    std::vector<std::span<float>> views(grads.begin(), grads.end());
    forward_backward(model, batches, {1.0F}, {}, views);
    for (const std::int64_t bad : gradients.bad) {
      EXPECT_EQ(bad, 0);
    }
    return grads;
  }

  AdapterSpec spec;
  OpenedModel opened;
};

constexpr float kStep = 0.01F;

/// Five points, error h^4: the rounding of an fp32 loss of some 70 nats over the step remains.
template <class LossAt>
void expect_slope(double expected, LossAt loss_at, const std::string& what) {
  const double slope = (8.0 * (loss_at(kStep) - loss_at(-kStep)) - (loss_at(2.0F * kStep) - loss_at(-2.0F * kStep))) /
                       (12.0 * static_cast<double>(kStep));
  EXPECT_NEAR(slope, expected, 2e-3 * std::abs(expected) + 2e-3) << what;
}

class Full : public testing::TestWithParam<const char*> {};

TEST_P(Full, GradientsOfMatricesEqualFiniteDifferences) {
  const auto comm = make_single_rank();
  FullModel model(GetParam(), *comm);
  const MicroBatch batch = small_batch(model.opened.spec);
  model.backward({&batch, 1});
  const TrainedBase& trained = model.opened.trained;
  std::size_t checked = 0;
  for (const TrainedUnit* unit : all_units(trained)) {
    for (const TrainedRange& range : unit->ranges) {
      const std::vector<float> direction =
          testing_support::random_floats(range.count, 2 + static_cast<std::uint32_t>(checked), 0.2F);
      const std::span<float> values = unit->values.subspan(static_cast<std::size_t>(range.in_slice), direction.size());
      const std::vector<float> at(values.begin(), values.end());
      double expected = 0.0;
      for (std::size_t i = 0; i < direction.size(); ++i) {
        expected += static_cast<double>(trained.sums[static_cast<std::size_t>(range.offset) + i]) * 0x1p-44 *
                    static_cast<double>(direction[i]);
      }
      const auto loss_at = [&](float step) {
        for (std::size_t i = 0; i < at.size(); ++i) {
          values[i] = at[i] + step * direction[i];
        }
        return test::loss_of(model.opened.transformer(), batch);
      };
      expect_slope(expected, loss_at, std::to_string(checked));
      std::copy(at.begin(), at.end(), values.begin());
      ++checked;
    }
  }
  EXPECT_GT(checked, 8U);
  EXPECT_EQ(model.opened.base.head.chunks > 1, std::string(GetParam()) == "demo");
}

TEST_P(Full, GradientsOfVectorsEqualFiniteDifferences) {
  const auto comm = make_single_rank();
  FullModel model(GetParam(), *comm);
  const MicroBatch batch = small_batch(model.opened.spec);
  const std::vector<float> grads = model.backward({&batch, 1}).front();
  const std::vector<float> at = model.opened.params;
  const std::vector<float> directions = testing_support::random_floats(static_cast<std::int64_t>(at.size()), 2);
  for (const auto& [path, parameter] : named_parameters(model.opened.layout)) {
    const auto begin = static_cast<std::size_t>(parameter.offset);
    const std::size_t end = begin + static_cast<std::size_t>(parameter.shape.count());
    double expected = 0.0;
    for (std::size_t i = begin; i < end; ++i) {
      expected += static_cast<double>(grads[i]) * static_cast<double>(directions[i]);
    }
    const auto loss_at = [&](float step) {
      std::copy(at.begin(), at.end(), model.opened.params.begin());
      for (std::size_t i = begin; i < end; ++i) {
        model.opened.params[i] += step * directions[i];
      }
      model.put();
      return test::loss_of(model.opened.transformer(), batch);
    };
    expect_slope(expected, loss_at, path + "." + std::string(parameter.name));
  }
}

/// The sums of three micro-batches, on ranks that divide them.
std::vector<std::int64_t> sums_of(const std::string& family, Communicator& comm, Recompute recompute, int in_flight) {
  FullModel model(family, comm, recompute, in_flight);
  const std::vector<MicroBatch> all = {small_batch(model.opened.spec, 0), small_batch(model.opened.spec, 1),
                                       small_batch(model.opened.spec, 2)};
  std::vector<std::int64_t> sums(model.opened.trained.sums.size());
  const int of_round = in_flight * comm.size();
  for (int first = 0; first < static_cast<int>(all.size()); first += of_round) {
    std::vector<MicroBatch> mine;
    for (int i = first + comm.rank(); i < std::min<int>(first + of_round, static_cast<int>(all.size())); i += comm.size()) {
      mine.push_back(all[static_cast<std::size_t>(i)]);
    }
    if (mine.empty()) {
      mine.emplace_back();  // no tokens: this rank joins gathers and sums
      mine.back().cu_seqlens = {0};
    }
    model.backward(mine);
    for (std::size_t i = 0; i < sums.size(); ++i) {
      sums[i] += model.opened.trained.sums[i];
    }
  }
  return sums;
}

/// The elements of a rank's slices, in the order of the whole.
std::vector<std::int64_t> joined(const std::string& family, int ranks, Recompute recompute, int in_flight) {
  std::map<std::pair<std::size_t, std::int64_t>, std::int64_t> by_place;  // (unit, linear's element)
  std::mutex guard;
  test::on_ranks(ranks, [&](Communicator& comm) {
    const std::vector<std::int64_t> sums = sums_of(family, comm, recompute, in_flight);
    const FullModel again(family, comm);
    const std::vector<const TrainedUnit*> all = all_units(again.opened.trained);
    const std::lock_guard lock(guard);
    for (std::size_t u = 0; u < all.size(); ++u) {
      for (const TrainedRange& range : all[u]->ranges) {
        for (std::int64_t i = 0; i < range.count; ++i) {
          const std::int64_t place = (static_cast<std::int64_t>(range.linear) << 40) + range.in_matrix + i;
          by_place[{u, place}] = sums[static_cast<std::size_t>(range.offset + i)];
        }
      }
    }
  });
  std::vector<std::int64_t> whole;
  for (const auto& [place, sum] : by_place) {
    whole.push_back(sum);
  }
  return whole;
}

TEST_P(Full, SameBitsOnEveryNumberOfRanks) {
  const std::vector<std::int64_t> alone = joined(GetParam(), 1, Recompute::block, 1);
  EXPECT_EQ(joined(GetParam(), 1, Recompute::none, 1), alone);
  EXPECT_EQ(joined(GetParam(), 1, Recompute::selective, 2), alone);
  for (const int ranks : {2, 4}) {
    EXPECT_EQ(joined(GetParam(), ranks, Recompute::block, 1), alone) << ranks << " ranks";
  }
}

// Untied head; tied, biases, positions, one matrix for q, k and v; norms of heads; (1 + w) around, scaled embedding, soft caps;
// norms of whole q and k after sublayers; parallel halves; scaled logits and one norm; fused gate; several chunks.
INSTANTIATE_TEST_SUITE_P(Models, Full,
                         testing::Values("llama3", "gpt2", "qwen3", "gemma2", "olmo2", "gpt_neox_parallel", "cohere2", "phi3",
                                         "demo"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lora_dist::full_test

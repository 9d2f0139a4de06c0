// Hidden states on ranks that share a micro-batch: sharded by tokens, and summed in parallel with operators.
#include "src/transformer/tensor_parallel.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "kernels/common/check.h"
#include "src/adapter/adapter_shard.h"
#include "tests/support/model_fixture.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::tensor_parallel_test {
namespace {

using test::on_ranks;
using test::source;

/// Row t of this rank's share.
float value_of(int rank, std::int64_t token) { return static_cast<float>(token + 1) * std::ldexp(1.0F, rank); }

TEST(TensorParallelRows, ShardsAreEqualAndTheLastIsPadded) {
  on_ranks(3, [](Communicator& comm) {
    constexpr std::int64_t kTokens = 4;  // rows 0 1 | 2 3 | padding
    constexpr std::int64_t kWidth = 2;
    std::vector<float> memory(6 * kWidth, std::numeric_limits<float>::quiet_NaN());
    const RowBuffer all{memory.data(), kWidth};
    const TensorParallel tp{&comm, kTokens, all, Stream{}};
    ASSERT_EQ(tp.shard_tokens(), 2);
    EXPECT_EQ(tp.first_token(), 2 * comm.rank());
    for (std::int64_t t = 0; t < kTokens; ++t) {
      memory[static_cast<std::size_t>(t * kWidth)] = memory[static_cast<std::size_t>(t * kWidth + 1)] = value_of(comm.rank(), t);
    }
    const TensorView mine = reduce_to_shards(tp, all);
    for (std::int64_t i = 0; i < 2; ++i) {
      const std::int64_t token = tp.first_token() + i;
      const float expected = token < kTokens ? value_of(0, token) * 7.0F : 0.0F;  // 1 + 2 + 4
      EXPECT_EQ(mine.as<float>()[i * kWidth], expected);
      EXPECT_EQ(mine.as<float>()[i * kWidth + 1], expected);
    }
    const TensorView joined = gather_shards(tp, all);
    ASSERT_EQ(joined.rows(), kTokens);
    for (std::int64_t t = 0; t < kTokens; ++t) {
      EXPECT_EQ(joined.as<float>()[t * kWidth], value_of(0, t) * 7.0F);
    }
  });
}

/// A group whose sums complete only in wait(), and whose values must not be read before.
class Late final : public Communicator {
 public:
  explicit Late(Communicator& comm) : comm_(comm) {}
  int rank() const override { return comm_.rank(); }
  int size() const override { return comm_.size(); }
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) override {
    comm_.all_gather(mine, all, kind);
  }
  std::unique_ptr<PendingCollective> start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                                                      WireKind kind) override {
    return comm_.start_all_gather(mine, all, kind);
  }
  void all_reduce(std::span<std::int64_t> values, Reduce op, WireKind kind) override { comm_.all_reduce(values, op, kind); }
  void all_reduce(std::span<double> values, Reduce op, WireKind kind) override { comm_.all_reduce(values, op, kind); }
  void all_reduce_sum(const TensorView& values, WireKind kind) override { comm_.all_reduce_sum(values, kind); }
  std::unique_ptr<PendingCollective> start_all_reduce_sum(const TensorView& values, WireKind kind) override {
    struct Pending final : PendingCollective {
      Pending(Communicator& group, const TensorView& to)
          : comm(group), values(to), kept(to.as<float>(), to.as<float>() + to.count()) {
        std::fill_n(values.as<float>(), values.count(), std::numeric_limits<float>::quiet_NaN());
      }
      void wait() override {
        std::copy(kept.begin(), kept.end(), values.as<float>());
        comm.all_reduce_sum(values, WireKind::tensor_activation);
      }
      bool progress() override { return false; }
      Communicator& comm;
      TensorView values;
      std::vector<float> kept;
    };
    EXPECT_EQ(kind, WireKind::tensor_activation);
    ++started;
    return std::make_unique<Pending>(comm_, values);
  }
  bool sums_beside() const override { return true; }
  void reduce_scatter_sum(const TensorView& values, WireKind kind) override { comm_.reduce_scatter_sum(values, kind); }
  void broadcast(std::span<std::byte> data, int root, WireKind kind) override { comm_.broadcast(data, root, kind); }
  void barrier() override { comm_.barrier(); }
  std::unique_ptr<Communicator> split(int color) override { return comm_.split(color); }
  const WireBytes& wire() const override { return comm_.wire(); }

  int started = 0;

 private:
  Communicator& comm_;
};

TEST(TensorParallelRows, PiecesAreOfSomeTokensAndFourAtMost) {
  const auto pieces = [](std::int64_t tokens, std::int64_t piece, Communicator* comm) {
    std::vector<std::int64_t> counts;
    for (const TokenRange& range : summed_pieces({comm, tokens, {}, Stream{}, piece})) {
      counts.push_back(range.count);
    }
    return counts;
  };
  using Counts = std::vector<std::int64_t>;
  EXPECT_EQ(pieces(10, 3, nullptr), Counts{10});
  on_ranks(2, [&](Communicator& comm) {
    EXPECT_EQ(pieces(10, 3, &comm), Counts{10});  // its sums complete when they start
    Late late(comm);
    EXPECT_EQ(pieces(10, 3, &late), (Counts{3, 3, 4}));
    EXPECT_EQ(pieces(10, 11, &late), Counts{10});
    EXPECT_EQ(pieces(10, 0, &late), Counts{10});
    EXPECT_EQ(pieces(100, 3, &late), (Counts{24, 24, 27, 25}));
    EXPECT_EQ(pieces(3000, 1024, &late), (Counts{1280, 1720}));  // a multiple of 256, except for the last
  });
}

struct Outcome {
  double loss = 0.0;
  std::vector<float> gradients;  // of this rank's shard
  int started = 0;               // sums
  std::vector<float> next;       // logits after three tokens, and after one more
};

struct Way {
  bool sequence_parallel = false;
  std::int64_t piece_tokens = 0;
  Recompute recompute = Recompute::block;
  int in_flight = 1;
  std::int64_t chunk_elements = 0;  // of the vocabulary
};

/// 23 tokens on the ranks of `row`, with dropout and non-zero parameters.
Outcome outcome_of(const std::filesystem::path& folder, Communicator& row, const Way& way) {
  const ModelSpec spec = read_model_config(folder);
  const TpShard tp = tp_shard(spec, row.rank(), row.size());
  const auto shards = row.split(row.rank());
  Arena arena;
  BaseStorage storage{arena, Stream{}};
  storage.chunk_elements = way.chunk_elements;
  const FrozenBase base =
      load_frozen_base(spec, read_model_directory(folder), {Quantization::nf4, true}, {*shards, row, row, tp}, storage);
  WeightWindow window(base, *shards, arena, Stream{}, DType::f32, way.in_flight);
  const AdapterShard adapter = make_adapter_shard(make_adapter_layout(spec, {4, 8.0, 0.1, false, {"all-linear"}}), spec, tp);
  WorkspaceOptions options{23, 23, true, way.recompute, true};
  options.sequence_parallel = way.sequence_parallel;
  options.piece_tokens = way.piece_tokens;
  options.micro_batches_in_flight = way.in_flight;
  const Workspace workspace = make_workspace(base, adapter.layout, options, arena, Stream{});
  std::vector<float> params(static_cast<std::size_t>(adapter.layout.count));
  for (std::size_t i = 0; i < params.size(); ++i) {
    params[i] = 0.05F * std::sin(static_cast<float>(i));
  }
  Late late(row);
  const ForwardContext model{&base, &adapter.layout, &window, &workspace, params, Stream{}, &late};
  test::TestBatch batch;
  for (const std::int32_t length : {9, 14}) {
    std::vector<std::int32_t> ids;
    for (std::int32_t i = 0; i < length; ++i) {
      ids.push_back((i * 7 + length) % 60);
    }
    batch.add(ids, ids);
  }
  Outcome outcome;
  outcome.gradients.resize(params.size(), std::numeric_limits<float>::quiet_NaN());
  test::TestBatch other;  // follows it
  other.add({3, 1, 4, 1, 5, 9, 2, 6, 5}, {3, 1, 4, 1, 5, 9, 2, 6, 5});
  const std::vector<MicroBatch> batches =
      way.in_flight > 1 ? std::vector<MicroBatch>{batch, other} : std::vector<MicroBatch>{batch};
  std::vector<float> ignored(params.size());
  const std::array<std::span<float>, 2> grads = {outcome.gradients, ignored};
  outcome.loss = forward_backward(model, batches, {}, {0.1F, 7, 1}, std::span(grads).first(batches.size())).front();
  outcome.started = late.started;
  KvCache cache = make_kv_cache(base.spec, 8, arena);
  for (const std::vector<std::int32_t>& ids : {std::vector<std::int32_t>{7, 40, 2}, std::vector<std::int32_t>{5}}) {
    const std::vector<float> logits = forward_next(model, ids, cache);
    outcome.next.insert(outcome.next.end(), logits.begin(), logits.end());
  }
  return outcome;
}

void expect_near(const Outcome& a, const Outcome& b) {
  EXPECT_NEAR(a.loss, b.loss, 1e-6 * b.loss);
  ASSERT_EQ(a.gradients.size(), b.gradients.size());
  float most = 0.0F;
  float furthest = 0.0F;
  for (std::size_t i = 0; i < a.gradients.size(); ++i) {
    ASSERT_TRUE(std::isfinite(a.gradients[i])) << i;
    most = std::max(most, std::fabs(b.gradients[i]));
    furthest = std::max(furthest, std::fabs(a.gradients[i] - b.gradients[i]));
  }
  ASSERT_EQ(a.next.size(), b.next.size());
  for (std::size_t i = 0; i < a.next.size(); ++i) {
    EXPECT_NEAR(a.next[i], b.next[i], 1e-5F) << i;
  }
  EXPECT_GT(most, 0.0F);
  EXPECT_LT(furthest, 2e-5F * most);  // sums in another order, through two or three blocks
}

class RowsOfFamily : public testing::TestWithParam<const char*> {};

/// ThreadCommunicator leaves NaN in elements that a reduce-scatter leaves undefined.
TEST_P(RowsOfFamily, DividedOrSummedBesideGiveTheSameGradients) {
  const std::filesystem::path folder = source("tests/golden/families") / GetParam();
  on_ranks(2, [&](Communicator& row) {
    const Outcome whole = outcome_of(folder, row, {});
    for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::block}) {
      expect_near(outcome_of(folder, row, {true, 0, recompute}), whole);
    }
    const Outcome beside = outcome_of(folder, row, {false, 5});
    expect_near(beside, whole);
    EXPECT_EQ(beside.started, 4 * whole.started);  // pieces
    EXPECT_EQ(outcome_of(folder, row, {false, 5, Recompute::none}).gradients, beside.gradients);
  });
}

/// With another micro-batch in flight, whole or sharded by tokens, and with a head in several chunks.
TEST_P(RowsOfFamily, SameBitsInFlightAsAlone) {
  const std::filesystem::path folder = source("tests/golden/families") / GetParam();
  on_ranks(2, [&](Communicator& row) {
    for (const bool sequence_parallel : {false, true}) {
      for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::block}) {
        for (const std::int64_t chunk_elements : {0, 1024}) {
          const Outcome alone = outcome_of(folder, row, {sequence_parallel, 5, recompute, 1, chunk_elements});
          const Outcome in_flight = outcome_of(folder, row, {sequence_parallel, 5, recompute, 2, chunk_elements});
          EXPECT_EQ(in_flight.loss, alone.loss);
          EXPECT_EQ(in_flight.gradients, alone.gradients);
          EXPECT_EQ(in_flight.next, alone.next);
        }
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Models, RowsOfFamily,
                         testing::Values("llama3", "gpt2", "gpt_neox_parallel", "exaone4_hybrid", "gemma", "gemma3", "gemma2",
                                         "phi3", "glm4", "granite", "hyperclovax", "cohere2", "stablelm_parallel", "olmo2",
                                         "olmo3"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lora_dist::tensor_parallel_test

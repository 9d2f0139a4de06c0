// A gather that fails while it is under way: whoever needs its block reads why, once, and nobody waits for it again.
#include <gtest/gtest.h>

#include "src/base/weight_window.h"
#include "src/comm/watched.h"
#include "src/core/error_of.h"
#include "tests/support/model_fixture.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::failed_gather_test {
namespace {

constexpr const char* kReason = "all_gather failed: the link to rank 1 is down";

/// What was done with the gather that fails.
struct Calls {
  int waits = 0;  // a destructor that waits among them
  int destroyed = 0;
  int aborted = 0;
};

/// Fails at its end, or (`early`) when it is moved before.
class FailingGather final : public PendingCollective {
 public:
  FailingGather(Calls& calls, bool early) : calls_(calls), early_(early) {}
  ~FailingGather() override {
    calls_.waits += ended_ ? 0 : 1;
    ++calls_.destroyed;
  }
  void wait() override {
    ++calls_.waits;
    fail();
  }
  bool progress() override {
    if (early_) {
      fail();
    }
    return false;
  }

 private:
  [[noreturn]] void fail() {
    ended_ = true;
    throw Error(ExitCode::communication, kReason, ErrorScope::consequence);
  }

  Calls& calls_;
  bool early_;
  bool ended_ = false;
};

/// Another group, whose second gather that is not waited for fails.
class FailingGroup final : public Communicator {
 public:
  FailingGroup(Communicator& whole, Calls& calls, bool early) : whole_(whole), calls_(calls), early_(early) {}

  int rank() const override { return whole_.rank(); }
  int size() const override { return whole_.size(); }
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) override {
    whole_.all_gather(mine, all, kind);
  }
  std::unique_ptr<PendingCollective> start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                                                      WireKind kind) override {
    if (++started_ == 2) {
      return std::make_unique<FailingGather>(calls_, early_);
    }
    return whole_.start_all_gather(mine, all, kind);
  }
  void all_reduce(std::span<std::int64_t> values, Reduce op, WireKind kind) override { whole_.all_reduce(values, op, kind); }
  void all_reduce(std::span<double> values, Reduce op, WireKind kind) override { whole_.all_reduce(values, op, kind); }
  void all_reduce_sum(const TensorView& values, WireKind kind) override { whole_.all_reduce_sum(values, kind); }
  void reduce_scatter_sum(const TensorView& values, WireKind kind) override { whole_.reduce_scatter_sum(values, kind); }
  void broadcast(std::span<std::byte> data, int root, WireKind kind) override { whole_.broadcast(data, root, kind); }
  void barrier() override { whole_.barrier(); }
  std::unique_ptr<Communicator> split(int color) override { return whole_.split(color); }
  void abort() override { ++calls_.aborted; }
  const WireBytes& wire() const override { return whole_.wire(); }

 private:
  Communicator& whole_;
  Calls& calls_;
  bool early_;
  int started_ = 0;
};

/// `visit` on the window of a base that two ranks divide: what the user is told, on each of them.
void expect_reason(bool early, int waits, void (*visit)(WeightWindow&)) {
  test::on_ranks(2, [&](Communicator& world) {
    const std::filesystem::path folder = test::source("demo/model");
    Arena arena;
    const FrozenBase base = test::load_whole_base(read_model_config(folder), read_model_directory(folder),
                                                  {Quantization::nf4, true}, world, {arena, Stream{}});
    Calls calls;
    const auto group = watch_collectives(std::make_unique<FailingGroup>(world, calls, early));
    const auto error = error_of([&] {
      WeightWindow window(base, *group, arena, Stream{}, DType::f32);
      window.acquire(0);
      visit(window);
    });
    ASSERT_TRUE(error);
    EXPECT_EQ(std::string(error->what()), kReason);
    EXPECT_EQ(error->code(), ExitCode::communication);
    EXPECT_EQ(error->scope(), ErrorScope::consequence);  // a rank that knows more speaks first
    EXPECT_EQ(calls.waits, waits);
    EXPECT_EQ(calls.destroyed, 1);
    EXPECT_EQ(calls.aborted, 1);
  });
}

TEST(FailedGather, OfABlockThatIsWaitedFor) {
  expect_reason(false, 1, [](WeightWindow& window) {
    window.prefetch(1);
    window.release(0);
    window.acquire(1);
  });
}

TEST(FailedGather, WhileThisRankComputes) {
  expect_reason(true, 0, [](WeightWindow& window) { window.prefetch(1); });
}

/// Whoever takes its place is told: nothing that came after could be trusted.
TEST(FailedGather, OfABlockThatNobodyCameFor) {
  expect_reason(false, 1, [](WeightWindow& window) {
    window.prefetch(1);
    window.prefetch(2);
  });
}

}  // namespace
}  // namespace lora_dist::failed_gather_test

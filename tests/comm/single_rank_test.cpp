// A group of one rank, and the parts of comm that need no MPI.
#include <gtest/gtest.h>

#include <cstdlib>

#include "kernels/common/check.h"
#include "src/comm/agree.h"
#include "src/comm/process.h"
#include "src/comm/single_rank.h"
#include "src/core/error.h"

namespace lora_dist::single_rank_test {
namespace {

TEST(SingleRank, CollectivesCopyAndSendNothing) {
  auto comm = make_single_rank();
  EXPECT_EQ(comm->rank(), 0);
  EXPECT_EQ(comm->size(), 1);
  const std::vector<std::byte> mine = {std::byte{1}, std::byte{2}, std::byte{3}};
  std::vector<std::byte> all(3);
  comm->all_gather(mine, all, WireKind::base_gather);
  EXPECT_EQ(all, mine);
  std::vector<std::byte> later(3);
  auto pending = comm->start_all_gather(mine, later, WireKind::base_gather);
  pending->progress();
  pending->wait();
  EXPECT_EQ(later, mine);
  std::vector<std::int64_t> integers = {5, -7};
  comm->all_reduce(std::span<std::int64_t>(integers), Reduce::sum, WireKind::adapter_gradient);
  EXPECT_EQ(integers, (std::vector<std::int64_t>{5, -7}));
  std::vector<double> doubles = {0.5};
  comm->all_reduce(std::span<double>(doubles), Reduce::max, WireKind::control);
  EXPECT_EQ(doubles[0], 0.5);
  comm->broadcast(all, 0, WireKind::control);
  comm->barrier();
  for (const std::int64_t bytes : comm->wire().bytes) {
    EXPECT_EQ(bytes, 0);
  }
}

TEST(SingleRank, BrokenPromisesAreRefusedAsOnManyRanks) {
  auto comm = make_single_rank();
  std::vector<std::byte> three(3);
  std::vector<std::byte> four(4);
  double value = 1.0;
  EXPECT_THROW(comm->all_gather(three, four, WireKind::control), KernelError);
  EXPECT_THROW(comm->all_reduce(std::span(&value, 1), Reduce::sum, WireKind::control), KernelError);
  EXPECT_THROW(comm->broadcast(three, 1, WireKind::control), KernelError);
}

TEST(SingleRank, SplitsIntoItself) {
  auto comm = make_single_rank();
  auto part = comm->split(3);
  EXPECT_EQ(part->size(), 1);
  EXPECT_EQ(&part->wire(), &comm->wire());
}

TEST(SingleRank, TextComesBack) {
  auto comm = make_single_rank();
  EXPECT_EQ(all_gather_strings(*comm, "one"), (std::vector<std::string>{"one"}));
  EXPECT_EQ(broadcast_string(*comm, "two", 0), "two");
}

TEST(RunTogether, PassesAnErrorOnWithItsCode) {
  auto comm = make_single_rank();
  try {
    run_together(*comm, [] { throw Error(ExitCode::data, "no rows"); });
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "no rows");
    EXPECT_EQ(error.code(), ExitCode::data);
    EXPECT_EQ(error.scope(), ErrorScope::collective);
  }
}

TEST(Wire, KindsHaveTheNamesOfTheMetrics) {
  EXPECT_EQ(name_of(WireKind::base_gather), "base_gather");
  EXPECT_EQ(name_of(WireKind::adapter_gradient), "adapter_gradient");
  EXPECT_EQ(name_of(WireKind::tensor_activation), "tensor_activation");
  EXPECT_EQ(name_of(WireKind::control), "control");
}

class Threads : public testing::Test {
 protected:
  void SetUp() override {
    const char* before = std::getenv("OMP_NUM_THREADS");
    before_ = before == nullptr ? "" : before;
    unsetenv("OMP_NUM_THREADS");
  }
  void TearDown() override {
    if (before_.empty()) {
      unsetenv("OMP_NUM_THREADS");
    } else {
      setenv("OMP_NUM_THREADS", before_.c_str(), 1);
    }
  }
  std::string before_;
};

TEST_F(Threads, TheEnvironmentDecides) {
  setenv("OMP_NUM_THREADS", "3", 1);
  EXPECT_EQ(threads_per_rank({}), 3);
  setenv("OMP_NUM_THREADS", "5,2", 1);  // OpenMP's form for nested regions: the outermost counts
  EXPECT_EQ(threads_per_rank({}), 5);
}

TEST_F(Threads, AreAtMostTheShareOfControlGroups) {
  ProcessInfo two{.rank = 0, .ranks = 2, .node_rank = 0, .node_ranks = 2, .node_cores = 64};
  for (const auto& [share, most] : {std::pair(0.5, 1), std::pair(1.0, 1), std::pair(1.95, 1), std::pair(2.0, 2)}) {
    two.cpu_share = share;
    EXPECT_LE(threads_per_rank(two), most) << share;
    EXPECT_GE(threads_per_rank(two), 1) << share;
  }
  two.cpu_share = 1.0;
  setenv("OMP_NUM_THREADS", "3", 1);
  EXPECT_EQ(threads_per_rank(two), 3);
}

TEST_F(Threads, OtherwiseTheCoresOfTheNodeAreShared) {
  const int alone = threads_per_rank({});
  EXPECT_GE(alone, 1);
  EXPECT_EQ(threads_per_rank({.rank = 0, .ranks = 4096, .node_rank = 0, .node_ranks = 4096}), 1);
  EXPECT_EQ(threads_per_rank({.rank = 0, .ranks = 2, .node_rank = 0, .node_ranks = 2, .node_cores = 2}), 1);
  // Two ranks bound to halves of the node: each uses its half.
  EXPECT_EQ(threads_per_rank({.rank = 0, .ranks = 2, .node_rank = 0, .node_ranks = 2, .node_cores = 2 * alone}), alone);
  for (const char* nonsense : {"", "many", "0", "-2"}) {
    setenv("OMP_NUM_THREADS", nonsense, 1);
    EXPECT_EQ(threads_per_rank({}), alone) << nonsense;
  }
}

}  // namespace
}  // namespace lora_dist::single_rank_test

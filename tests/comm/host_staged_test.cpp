// Compares staged collectives with the plain communicator's, with threads as ranks.
#include "src/comm/host_staged.h"

#include <gtest/gtest.h>

#include "kernels/common/check.h"
#include "src/comm/single_rank.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::host_staged_test {
namespace {

/// Differs between ranks, calls and along the part.
std::vector<std::byte> part_of(int rank, std::size_t size, int call = 0) {
  std::vector<std::byte> part(size);
  for (std::size_t i = 0; i < size; ++i) {
    part[i] = static_cast<std::byte>((i * 7 + static_cast<std::size_t>(rank) * 131 + static_cast<std::size_t>(call) * 29) & 0xFF);
  }
  return part;
}

std::vector<std::byte> gathered(Communicator& comm, const std::vector<std::byte>& mine) {
  std::vector<std::byte> all(mine.size() * static_cast<std::size_t>(comm.size()));
  comm.all_gather(mine, all, WireKind::base_gather);
  return all;
}

/// Calls work(plain, staged) on three ranks; `staged` counts in the ledger of `plain`.
template <class Work>
void beside_each_other(Work work) {
  test::on_ranks(3, [&](Communicator& plain) {
    const auto staged = make_host_staged(plain.split(0), Stream{});
    EXPECT_EQ(staged->rank(), plain.rank());
    EXPECT_EQ(staged->size(), plain.size());
    EXPECT_EQ(&staged->wire(), &plain.wire());
    work(plain, *staged);
  });
}

TEST(HostStaged, GathersWhatThePlainOneGathersAtEverySize) {
  beside_each_other([](Communicator& plain, Communicator& staged) {
    // Sizes shrink and grow: staging buffers grow and are reused.
    for (const std::size_t size : {std::size_t{5}, std::size_t{0}, std::size_t{1000}, std::size_t{17}, std::size_t{70001}}) {
      const auto mine = part_of(plain.rank(), size);
      const auto expected = gathered(plain, mine);
      const std::int64_t before = plain.wire()[WireKind::base_gather];
      EXPECT_EQ(gathered(staged, mine), expected) << size;
      EXPECT_EQ(plain.wire()[WireKind::base_gather] - before, static_cast<std::int64_t>(size));
    }
  });
}

TEST(HostStaged, GathersAPartThatLiesInItsPlace) {
  beside_each_other([](Communicator& plain, Communicator& staged) {
    const std::size_t size = 100;
    const auto part = part_of(plain.rank(), size);
    std::vector<std::byte> all(size * 3);
    const std::span<std::byte> mine = std::span(all).subspan(size * static_cast<std::size_t>(plain.rank()), size);
    std::copy(part.begin(), part.end(), mine.begin());
    staged.all_gather(mine, all, WireKind::base_gather);
    EXPECT_EQ(all, gathered(plain, part));
  });
}

TEST(HostStaged, GathersUnderWayHaveStagingOfTheirOwn) {
  beside_each_other([](Communicator& plain, Communicator& staged) {
    std::vector<std::unique_ptr<PendingCollective>> pending(3);
    std::vector<std::vector<std::byte>> all(3, std::vector<std::byte>(3 * 500));
    for (int round = 0; round < 3; ++round) {  // buffers of completed gathers are reused
      for (int i = 0; i < 3; ++i) {
        const auto mine = part_of(plain.rank(), 500, 3 * round + i);
        pending[static_cast<std::size_t>(i)] =
            staged.start_all_gather(mine, all[static_cast<std::size_t>(i)], WireKind::base_gather);
      }
      for (int i = 2; i >= 0; --i) {
        auto& gather = *pending[static_cast<std::size_t>(i)];
        gather.progress();
        gather.wait();
        gather.wait();  // a second wait is harmless
        gather.progress();
        EXPECT_EQ(all[static_cast<std::size_t>(i)], gathered(plain, part_of(plain.rank(), 500, 3 * round + i)));
      }
    }
  });
}

TEST(HostStaged, AGatherThatNobodyWaitsForIsOverWhenItIsDropped) {
  beside_each_other([](Communicator& plain, Communicator& staged) {
    std::vector<std::byte> all(3 * 64);
    for (int call = 0; call < 5; ++call) {
      staged.start_all_gather(part_of(plain.rank(), 64, call), all, WireKind::base_gather).reset();
    }
    staged.start_all_gather(part_of(plain.rank(), 64, 9), all, WireKind::base_gather)->wait();
    EXPECT_EQ(all, gathered(plain, part_of(plain.rank(), 64, 9)));
  });
}

TEST(HostStaged, ReducesAndBroadcastsAsThePlainOne) {
  beside_each_other([](Communicator& plain, Communicator& staged) {
    const std::int64_t big = std::int64_t{1} << 59;
    for (const Reduce op : {Reduce::sum, Reduce::max, Reduce::min}) {
      std::vector<std::int64_t> here = {big + plain.rank(), -plain.rank(), 7};
      std::vector<std::int64_t> expected = here;
      plain.all_reduce(std::span<std::int64_t>(expected), op, WireKind::adapter_gradient);
      staged.all_reduce(std::span<std::int64_t>(here), op, WireKind::adapter_gradient);
      EXPECT_EQ(here, expected);
    }
    EXPECT_EQ(plain.wire()[WireKind::adapter_gradient], 6 * 3 * 8);
    for (const Reduce op : {Reduce::max, Reduce::min}) {
      std::vector<double> here = {0.25 * plain.rank(), -1e300};
      std::vector<double> expected = here;
      plain.all_reduce(std::span<double>(expected), op, WireKind::control);
      staged.all_reduce(std::span<double>(here), op, WireKind::control);
      EXPECT_EQ(here, expected);
    }
    for (int root = 0; root < 3; ++root) {
      auto data = part_of(plain.rank(), 321);
      staged.broadcast(data, root, WireKind::tensor_activation);
      EXPECT_EQ(data, part_of(root, 321));
    }
    EXPECT_EQ(plain.wire()[WireKind::tensor_activation], 321);
    staged.barrier();
  });
}

TEST(HostStaged, SumsAndScattersAsThePlainOne) {
  beside_each_other([](Communicator& plain, Communicator& staged) {
    std::vector<float> expected(3 * 50);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expected[i] = 1.0F / static_cast<float>(i + 1 + static_cast<std::size_t>(plain.rank()) * 7);
    }
    std::vector<float> sum = expected;
    std::vector<float> scattered = expected;
    plain.all_reduce_sum(view(std::span(expected)), WireKind::control);
    staged.all_reduce_sum(view(std::span(sum)), WireKind::control);
    EXPECT_EQ(sum, expected);
    staged.reduce_scatter_sum(view(std::span(scattered)), WireKind::tensor_activation);
    const std::size_t first = 50 * static_cast<std::size_t>(plain.rank());
    for (std::size_t i = first; i < first + 50; ++i) {
      EXPECT_EQ(scattered[i], expected[i]) << i;
    }
    EXPECT_EQ(plain.wire()[WireKind::tensor_activation], 3 * 50 * 4);
  });
}

TEST(HostStaged, SplitsIntoGroupsThatStageAsWell) {
  beside_each_other([](Communicator& plain, Communicator& staged) {
    const auto part = staged.split(plain.rank() % 2);
    EXPECT_EQ(part->size(), plain.rank() % 2 == 0 ? 2 : 1);
    EXPECT_EQ(&part->wire(), &plain.wire());
    std::int64_t sum = plain.rank() + 1;
    part->all_reduce(std::span(&sum, 1), Reduce::sum, WireKind::control);
    EXPECT_EQ(sum, plain.rank() % 2 == 0 ? 1 + 3 : 2);
  });
}

TEST(HostStaged, AGroupOfOneCopiesAndSendsNothing) {
  const auto alone = make_host_staged(make_single_rank(), Stream{});
  const auto mine = part_of(0, 1000);
  EXPECT_EQ(gathered(*alone, mine), mine);
  std::vector<std::byte> all(1000);
  alone->start_all_gather(mine, all, WireKind::base_gather)->wait();
  EXPECT_EQ(all, mine);
  alone->all_gather(all, all, WireKind::base_gather);
  EXPECT_EQ(all, mine);
  std::vector<std::int64_t> values = {5, -7};
  alone->all_reduce(std::span<std::int64_t>(values), Reduce::sum, WireKind::adapter_gradient);
  EXPECT_EQ(values, (std::vector<std::int64_t>{5, -7}));
  double value = 1.5;
  alone->all_reduce(std::span(&value, 1), Reduce::max, WireKind::control);
  EXPECT_EQ(value, 1.5);
  EXPECT_THROW(alone->all_reduce(std::span(&value, 1), Reduce::sum, WireKind::control), KernelError);
  EXPECT_THROW(alone->broadcast(all, 1, WireKind::control), KernelError);
  for (const std::int64_t bytes : alone->wire().bytes) {
    EXPECT_EQ(bytes, 0);
  }
}

}  // namespace
}  // namespace lora_dist::host_staged_test

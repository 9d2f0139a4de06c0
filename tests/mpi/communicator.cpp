// The communicator over MPI, on any number of ranks: compares every collective with the expected result, computed locally.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <thread>

#include "kernels/common/check.h"
#include "src/comm/agree.h"
#include "src/comm/mpi_communicator.h"
#include "src/comm/process.h"
#include "src/core/error.h"

namespace lora_dist {
namespace {

/// Byte `i` of rank `rank`'s part: differs between ranks and along the part.
std::byte pattern(int rank, std::size_t i) {
  return static_cast<std::byte>((i * 7 + static_cast<std::size_t>(rank) * 131 + i / 251) & 0xFF);
}

std::vector<std::byte> part_of(int rank, std::size_t size) {
  std::vector<std::byte> part(size);
  for (std::size_t i = 0; i < size; ++i) {
    part[i] = pattern(rank, i);
  }
  return part;
}

std::vector<std::byte> parts_of_all(int ranks, std::size_t size) {
  std::vector<std::byte> all;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto part = part_of(rank, size);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

/// Whole messages, and pieces of 16 bytes that do not divide the sizes below.
class Collectives : public testing::TestWithParam<std::size_t> {
 protected:
  std::unique_ptr<Communicator> world_ = make_mpi_world(GetParam());
  std::int64_t sent(WireKind kind) const { return world_->wire()[kind]; }
};

TEST_P(Collectives, AllGatherConcatenatesInRankOrder) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{16}, std::size_t{16 * 9 + 5}, std::size_t{70001}}) {
    const std::int64_t before = sent(WireKind::base_gather);
    std::vector<std::byte> all(size * static_cast<std::size_t>(world_->size()));
    world_->all_gather(part_of(world_->rank(), size), all, WireKind::base_gather);
    EXPECT_EQ(all, parts_of_all(world_->size(), size)) << size;
    EXPECT_EQ(sent(WireKind::base_gather) - before, world_->size() == 1 ? 0 : static_cast<std::int64_t>(size));
  }
  EXPECT_EQ(sent(WireKind::control), 0);
}

TEST_P(Collectives, AllGatherTakesAPartThatLiesInItsPlace) {
  const std::size_t size = 100;
  std::vector<std::byte> all(size * static_cast<std::size_t>(world_->size()));
  const std::span<std::byte> mine = std::span(all).subspan(size * static_cast<std::size_t>(world_->rank()), size);
  const auto part = part_of(world_->rank(), size);
  std::copy(part.begin(), part.end(), mine.begin());
  world_->all_gather(mine, all, WireKind::control);
  EXPECT_EQ(all, parts_of_all(world_->size(), size));
}

TEST_P(Collectives, GathersUnderWayDoNotDisturbEachOtherOrOtherCollectives) {
  const std::size_t size = 5003;
  const auto first = part_of(world_->rank(), size);
  const auto second = part_of(world_->rank() + 1, size);
  std::vector<std::byte> all_first(size * static_cast<std::size_t>(world_->size()));
  std::vector<std::byte> all_second(all_first.size());
  auto pending_first = world_->start_all_gather(first, all_first, WireKind::base_gather);
  auto pending_second = world_->start_all_gather(second, all_second, WireKind::base_gather);
  std::int64_t one = 1;
  world_->all_reduce(std::span(&one, 1), Reduce::sum, WireKind::control);
  for (int i = 0; i < 10; ++i) {
    pending_second->progress();
    pending_first->progress();
  }
  pending_second->wait();
  pending_second->wait();  // a second wait is harmless
  pending_first->wait();
  pending_first->progress();
  EXPECT_EQ(one, world_->size());
  EXPECT_EQ(all_first, parts_of_all(world_->size(), size));
  for (int rank = 0; rank < world_->size(); ++rank) {
    const auto theirs = std::span(all_second).subspan(static_cast<std::size_t>(rank) * size, size);
    EXPECT_TRUE(std::ranges::equal(theirs, part_of(rank + 1, size))) << rank;
  }
  EXPECT_EQ(sent(WireKind::base_gather), world_->size() == 1 ? 0 : static_cast<std::int64_t>(2 * size));
}

TEST_P(Collectives, GathersOfNothingAndOnTwoGroupsAtOnce) {
  world_->start_all_gather({}, {}, WireKind::base_gather)->wait();
  const auto halves = world_->split(world_->rank() % 2);
  const auto whole = world_->split(0);
  const auto mine = part_of(world_->rank(), 4099);
  std::vector<std::byte> of_half(mine.size() * static_cast<std::size_t>(halves->size()));
  std::vector<std::byte> of_whole(mine.size() * static_cast<std::size_t>(whole->size()));
  const auto first = halves->start_all_gather(mine, of_half, WireKind::base_gather);
  const auto second = whole->start_all_gather(mine, of_whole, WireKind::base_gather);
  second->wait();
  first->wait();
  EXPECT_EQ(of_whole, parts_of_all(world_->size(), mine.size()));
  for (int i = 0; i < halves->size(); ++i) {
    const auto theirs = std::span(of_half).subspan(static_cast<std::size_t>(i) * mine.size(), mine.size());
    EXPECT_TRUE(std::ranges::equal(theirs, part_of(world_->rank() % 2 + 2 * i, mine.size()))) << i;
  }
}

/// Messages that MPI sends only after the receive is posted (rendezvous), with one rank ahead of the others.
TEST_P(Collectives, LargeGathersUnderWayKeepTheirOrder) {
  const std::size_t size = GetParam() == kLargestMessage ? 300007 : 1003;
  std::vector<std::byte> all(size * static_cast<std::size_t>(world_->size()));
  const std::span<std::byte> place = std::span(all).subspan(size * static_cast<std::size_t>(world_->rank()), size);
  std::vector<std::byte> all_next(all.size());
  for (int i = 0; i < 4; ++i) {
    const auto mine = part_of(world_->rank() + i, size);
    std::copy(mine.begin(), mine.end(), place.begin());
    const auto next = part_of(world_->rank() + i + 1, size);
    auto pending = world_->start_all_gather(place, all, WireKind::base_gather);
    auto pending_next = world_->start_all_gather(next, all_next, WireKind::base_gather);
    std::this_thread::sleep_for(std::chrono::milliseconds(world_->rank() == i % 2 ? 3 : 0));
    pending->wait();
    pending_next->wait();
    for (int rank = 0; rank < world_->size(); ++rank) {
      const std::size_t begin = size * static_cast<std::size_t>(rank);
      EXPECT_TRUE(std::ranges::equal(std::span(all).subspan(begin, size), part_of(rank + i, size))) << i << " " << rank;
      EXPECT_TRUE(std::ranges::equal(std::span(all_next).subspan(begin, size), part_of(rank + i + 1, size))) << i << " " << rank;
    }
  }
}

TEST_P(Collectives, AGatherThatIsDroppedIsWaitedFor) {
  const auto mine = part_of(world_->rank(), 3000);
  std::vector<std::byte> all(mine.size() * static_cast<std::size_t>(world_->size()));
  { const auto pending = world_->start_all_gather(mine, all, WireKind::base_gather); }
  EXPECT_EQ(all, parts_of_all(world_->size(), mine.size()));
}

TEST_P(Collectives, AllReduceOfIntegersIsExact) {
  const std::int64_t big = std::int64_t{1} << 60;  // beyond what a double keeps
  std::vector<std::int64_t> sum(37);
  std::iota(sum.begin(), sum.end(), big / 8 + world_->rank());
  world_->all_reduce(std::span<std::int64_t>(sum), Reduce::sum, WireKind::adapter_gradient);
  const std::int64_t n = world_->size();
  for (std::size_t i = 0; i < sum.size(); ++i) {
    EXPECT_EQ(sum[i], n * (big / 8 + static_cast<std::int64_t>(i)) + n * (n - 1) / 2);
  }
  EXPECT_EQ(sent(WireKind::adapter_gradient), n == 1 ? 0 : 37 * 8);

  std::int64_t most = big + world_->rank();
  world_->all_reduce(std::span(&most, 1), Reduce::max, WireKind::control);
  EXPECT_EQ(most, big + n - 1);
  std::int64_t least = -big - world_->rank();
  world_->all_reduce(std::span(&least, 1), Reduce::min, WireKind::control);
  EXPECT_EQ(least, -big - n + 1);
}

/// Compares the reduction of `values` with the expected result. Sums exceed 64 bits and wrap around, the same in every order.
void expect_reduced(Communicator& world, std::size_t count, Reduce op) {
  const auto value = [](int rank, std::size_t i) {
    return static_cast<std::int64_t>((i + 1) * 0x9E3779B97F4A7C15U * static_cast<std::uint64_t>(rank + 3));
  };
  std::vector<std::int64_t> values(count);
  std::vector<std::int64_t> expected(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = value(world.rank(), i);
    std::int64_t& result = expected[i] = value(0, i);
    for (int rank = 1; rank < world.size(); ++rank) {
      const std::int64_t theirs = value(rank, i);
      result = op == Reduce::max ? std::max(result, theirs)
               : op == Reduce::min
                   ? std::min(result, theirs)
                   : static_cast<std::int64_t>(static_cast<std::uint64_t>(result) + static_cast<std::uint64_t>(theirs));
    }
  }
  world.all_reduce(std::span<std::int64_t>(values), op, WireKind::adapter_gradient);
  EXPECT_TRUE(values == expected) << count << " " << static_cast<int>(op);
}

/// Sizes around the ring's limits, and several rings with shares that differ by one value.
TEST_P(Collectives, AllReduceOfManyIntegersIsExact) {
  const auto ranks = static_cast<std::size_t>(world_->size());
  const bool whole = GetParam() == kLargestMessage;
  const std::size_t least = whole ? ranks << 15U : ranks * 2;  // values of 8 bytes
  ASSERT_TRUE(sums_along_ring(8 * least, world_->size(), GetParam()));
  ASSERT_FALSE(sums_along_ring(8 * least - 8, world_->size(), GetParam()));
  for (const std::size_t count : {least - 1, least, least + 1}) {
    expect_reduced(*world_, count, Reduce::sum);
    expect_reduced(*world_, count, Reduce::max);
    expect_reduced(*world_, count, Reduce::min);
  }
  expect_reduced(*world_, whole ? (ranks << 20U) + 1 : 1001, Reduce::sum);
}

TEST(Ring, IsForFewRanksWithManyValues) {
  EXPECT_TRUE(sums_along_ring(std::size_t{2} << 18U, 2));
  EXPECT_FALSE(sums_along_ring((std::size_t{2} << 18U) - 1, 2));
  EXPECT_TRUE(sums_along_ring(std::size_t{16} << 18U, 16));
  EXPECT_FALSE(sums_along_ring(std::size_t{1} << 34U, 17));
}

TEST_P(Collectives, AllReduceOfDoublesKeepsEveryBit) {
  const int r = world_->rank();
  const int last = world_->size() - 1;
  std::vector<double> most = {0.1 + r, -0.1 - r, r == last ? 1e308 : -1e308,
                              r == 0 ? std::numeric_limits<double>::denorm_min() : 0.0};
  std::vector<double> least = most;
  world_->all_reduce(std::span<double>(most), Reduce::max, WireKind::control);
  world_->all_reduce(std::span<double>(least), Reduce::min, WireKind::control);
  EXPECT_EQ(most[0], 0.1 + last);
  EXPECT_EQ(most[1], -0.1);
  EXPECT_EQ(most[2], 1e308);
  EXPECT_EQ(most[3], std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(least[0], 0.1);
  EXPECT_EQ(least[1], -0.1 - last);
  EXPECT_EQ(least[2], last == 0 ? 1e308 : -1e308);
}

TEST_P(Collectives, ANotANumberOfAnyRankReachesAll) {
  for (const Reduce op : {Reduce::max, Reduce::min}) {
    for (const double sign : {1.0, -1.0}) {
      double value = world_->rank() == world_->size() - 1 ? std::copysign(std::numeric_limits<double>::quiet_NaN(), sign)
                                                          : std::numeric_limits<double>::infinity() * sign;
      world_->all_reduce(std::span(&value, 1), op, WireKind::control);
      EXPECT_TRUE(std::isnan(value));
    }
  }
}

TEST_P(Collectives, ASumOfDoublesIsRefused) {
  double value = 1.0;
  EXPECT_THROW(world_->all_reduce(std::span(&value, 1), Reduce::sum, WireKind::control), KernelError);
}

/// Values whose sum depends on the order of addition.
std::vector<float> shares_of(int rank, std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = std::ldexp(1.0F + static_cast<float>(i % 97) / 97.0F, 3 * ((rank + static_cast<int>(i)) % 5)) *
                (i % 2 == 0 ? 1.0F : -1.0F);
  }
  return values;
}

TEST_P(Collectives, SumsOfFloatsAreAddedInTheOrderOfTheRanks) {
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{5}, std::size_t{1009}}) {
    std::vector<float> expected = shares_of(0, count);
    for (int rank = 1; rank < world_->size(); ++rank) {
      const std::vector<float> share = shares_of(rank, count);
      std::transform(expected.begin(), expected.end(), share.begin(), expected.begin(), std::plus<>());
    }
    std::vector<float> sum = shares_of(world_->rank(), count);
    world_->all_reduce_sum(view(std::span(sum)), WireKind::tensor_activation);
    EXPECT_EQ(sum, expected);
  }
}

TEST_P(Collectives, AScatteredSumHasTheBitsOfTheWholeOne) {
  const auto ranks = static_cast<std::size_t>(world_->size());
  for (const std::size_t part : {std::size_t{0}, std::size_t{1}, std::size_t{4}, std::size_t{337}}) {
    std::vector<float> whole = shares_of(world_->rank(), part * ranks);
    std::vector<float> scattered = whole;
    world_->all_reduce_sum(view(std::span(whole)), WireKind::control);
    const std::int64_t before = sent(WireKind::tensor_activation);
    world_->reduce_scatter_sum(view(std::span(scattered)), WireKind::tensor_activation);
    EXPECT_EQ(sent(WireKind::tensor_activation) - before, ranks == 1 ? 0 : static_cast<std::int64_t>(4 * part * ranks));
    for (std::size_t i = part * static_cast<std::size_t>(world_->rank()); i < part * static_cast<std::size_t>(world_->rank() + 1);
         ++i) {
      EXPECT_EQ(scattered[i], whole[i]) << i;
    }
  }
  std::vector<float> uneven(ranks + 1);
  if (ranks > 1) {
    EXPECT_THROW(world_->reduce_scatter_sum(view(std::span(uneven)), WireKind::control), KernelError);
  }
}

TEST_P(Collectives, ScattersSumsOfIntegers) {
  const auto ranks = static_cast<std::size_t>(world_->size());
  for (const std::size_t part : {std::size_t{1}, std::size_t{4}, std::size_t{337}}) {
    std::vector<std::int64_t> values(part * ranks);
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = (std::int64_t{1} << 55) * (world_->rank() - 1) + static_cast<std::int64_t>(i) * 3;
    }
    std::vector<std::int64_t> whole = values;
    world_->all_reduce(std::span(whole), Reduce::sum, WireKind::control);
    const std::int64_t before = sent(WireKind::tensor_activation);
    world_->reduce_scatter_sum(view(std::span(values)), WireKind::tensor_activation);
    EXPECT_EQ(sent(WireKind::tensor_activation) - before, ranks == 1 ? 0 : static_cast<std::int64_t>(8 * part * ranks));
    const std::size_t first = part * static_cast<std::size_t>(world_->rank());
    for (std::size_t i = first; i < first + part; ++i) {
      EXPECT_EQ(values[i], whole[i]) << i;
    }
  }
}

TEST_P(Collectives, BroadcastFromEveryRoot) {
  std::int64_t before = 0;
  for (int root = 0; root < world_->size(); ++root) {
    auto data = world_->rank() == root ? part_of(root, 1234) : std::vector<std::byte>(1234);
    world_->broadcast(data, root, WireKind::tensor_activation);
    EXPECT_EQ(data, part_of(root, 1234));
    before += world_->rank() == root && world_->size() > 1 ? 1234 : 0;
    EXPECT_EQ(sent(WireKind::tensor_activation), before);
  }
}

TEST_P(Collectives, SplitGroupsKeepRankOrderAndOneLedger) {
  const int color = world_->rank() % 2;
  auto group = world_->split(color);
  ASSERT_EQ(group->size(), (world_->size() + 1 - color) / 2);
  ASSERT_EQ(group->rank(), world_->rank() / 2);
  std::int64_t sum = world_->rank();
  group->all_reduce(std::span(&sum, 1), Reduce::sum, WireKind::adapter_gradient);
  std::int64_t expected = 0;
  for (int rank = color; rank < world_->size(); rank += 2) {
    expected += rank;
  }
  EXPECT_EQ(sum, expected);
  EXPECT_EQ(sent(WireKind::adapter_gradient), group->size() == 1 ? 0 : 8);
  EXPECT_EQ(&group->wire(), &world_->wire());
  world_.reset();
  group->barrier();  // a group outlives the one it came from
}

TEST_P(Collectives, TextOfDifferentLengths) {
  const std::string mine(static_cast<std::size_t>(world_->rank()) * 40, static_cast<char>('a' + world_->rank()));
  const auto texts = all_gather_strings(*world_, mine);
  ASSERT_EQ(texts.size(), static_cast<std::size_t>(world_->size()));
  for (int rank = 0; rank < world_->size(); ++rank) {
    EXPECT_EQ(texts[static_cast<std::size_t>(rank)],
              std::string(static_cast<std::size_t>(rank) * 40, static_cast<char>('a' + rank)));
  }
  const int root = world_->size() - 1;
  EXPECT_EQ(broadcast_string(*world_, world_->rank() == root ? "from the last" : "not sent", root), "from the last");
  EXPECT_EQ(broadcast_string(*world_, "", 0), "");
}

TEST_P(Collectives, WrongSizesAreAProgrammingError) {
  std::vector<std::byte> mine(4);
  std::vector<std::byte> all(4 * static_cast<std::size_t>(world_->size()) + 1);
  EXPECT_THROW(world_->all_gather(mine, all, WireKind::control), KernelError);
  EXPECT_THROW(world_->broadcast(mine, world_->size(), WireKind::control), KernelError);
}

INSTANTIATE_TEST_SUITE_P(Whole, Collectives, testing::Values(kLargestMessage));
INSTANTIATE_TEST_SUITE_P(InPieces, Collectives, testing::Values(std::size_t{16}));

class Together : public testing::Test {
 protected:
  /// The error that run_together throws on this rank when `fails(rank)` ranks throw; checks that there is one.
  template <class Work>
  Error error_of(Work work) {
    try {
      run_together(*world_, work);
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "no error on rank " << world_->rank();
    return Error(ExitCode::done, "");
  }
  std::unique_ptr<Communicator> world_ = make_mpi_world();
};

TEST_F(Together, NothingHappensWhenNobodyFails) {
  int ran = 0;
  EXPECT_NO_THROW(run_together(*world_, [&] { ++ran; }));
  EXPECT_EQ(ran, 1);
}

TEST_F(Together, OneFailureIsEverybodysAndNamesItsRank) {
  const int last = world_->size() - 1;
  const Error error = error_of([&] {
    if (world_->rank() == last) {
      throw Error(ExitCode::data, "row 7 is broken");
    }
  });
  EXPECT_EQ(error.what(), last == 0 ? std::string("row 7 is broken") : "rank " + std::to_string(last) + ": row 7 is broken");
  EXPECT_EQ(error.code(), ExitCode::data);
  EXPECT_EQ(error.scope(), ErrorScope::collective);
}

TEST_F(Together, AFailureThatAllShareNamesNoRank) {
  const Error error = error_of([] { throw Error(ExitCode::model, "config.json is missing"); });
  EXPECT_STREQ(error.what(), "config.json is missing");
  EXPECT_EQ(error.code(), ExitCode::model);
  EXPECT_EQ(error.scope(), ErrorScope::collective);
}

TEST_F(Together, TheLowestFailingRankSpeaks) {
  const Error error = error_of([&] {
    if (world_->rank() == 0 && world_->size() > 1) {
      return;
    }
    throw Error(world_->rank() == 1 ? ExitCode::data : ExitCode::model, "broken on " + std::to_string(world_->rank()));
  });
  EXPECT_EQ(error.what(), world_->size() == 1 ? std::string("broken on 0") : std::string("rank 1: broken on 1"));
  EXPECT_EQ(error.code(), world_->size() == 1 ? ExitCode::model : ExitCode::data);
}

TEST_F(Together, OfDividedWorkTheFirstFailureInPlaceIsEverybodys) {
  EXPECT_NO_THROW(throw_first(*world_, std::nullopt, 0));
  const int last = world_->size() - 1;
  const auto first_of = [&](std::int64_t place) {
    try {
      throw_first(*world_, Error(ExitCode::data, "row " + std::to_string(place)), place);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::data);
      EXPECT_EQ(error.scope(), ErrorScope::collective);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(first_of(10 - world_->rank()), "row " + std::to_string(10 - last));  // unchanged: no rank is named
  EXPECT_EQ(first_of(7), "row 7");
}

TEST_F(Together, MemoryAndProgramFailuresHaveTheirCodes) {
  const Error memory = error_of([] { throw std::bad_alloc(); });
  EXPECT_EQ(memory.code(), ExitCode::out_of_memory);
  EXPECT_THAT(memory.what(), testing::StartsWith("out of memory; use a smaller train.micro_batch"));
  const Error internal = error_of([] { require(false, "a shape is wrong"); });
  EXPECT_EQ(internal.code(), ExitCode::internal);
  EXPECT_NE(std::string(internal.what()).find("internal error, a mistake in the program: "), std::string::npos);
}

TEST(MeetAllRanks, WaitsForTheLastAndGivesUpOnTime) {
  auto world = make_mpi_world();
  if (world->rank() == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_TRUE(meet_all_ranks(30.0));
  if (world->size() > 1) {
    if (world->rank() > 0) {
      EXPECT_FALSE(meet_all_ranks(0.05));  // rank 0 comes only after the barrier below
    }
    world->barrier();
    if (world->rank() == 0) {
      meet_all_ranks(30.0);  // completes the barrier that the others left
    }
  }
}

TEST(Launcher, TellsTheRankBeforeMpiDoes) { EXPECT_EQ(launcher_rank(), make_mpi_world()->rank()); }

}  // namespace
}  // namespace lora_dist

// Collectives over the operators' memory: a device's (real or emulated) if available, else the host's.
#include "src/comm/data_plane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <set>

#include "kernels/common/check.h"
#include "kernels/common/device.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "src/comm/mpi_communicator.h"
#include "src/comm/nccl_communicator.h"
#include "src/core/error.h"

namespace lora_dist {
namespace {

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

/// The parts of ranks first, first + step, ... in turn.
std::vector<std::byte> parts_of(int first, int ranks, std::size_t size, int step = 1) {
  std::vector<std::byte> all;
  for (int i = 0; i < ranks; ++i) {
    const auto part = part_of(first + i * step, size);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

/// Memory of the stream's backend.
class Bytes {
 public:
  Bytes(std::size_t size, const Stream& stream) : stream_(stream), size_(size) {
    data_ = static_cast<std::byte*>(on_device() ? allocate_device(size) : ::operator new(size));
  }
  Bytes(const std::vector<std::byte>& values, const Stream& stream) : Bytes(values.size(), stream) { set(values); }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes() {
    if (on_device()) {
      free_device(data_);
    } else {
      ::operator delete(data_);
    }
  }

  std::span<std::byte> span() const { return {data_, size_}; }
  /// Enqueued on the stream, without waiting.
  void set(const std::vector<std::byte>& values) const {
    from_host(view(reinterpret_cast<const std::uint8_t*>(values.data()), {count()}), there(), stream_);
  }
  std::vector<std::byte> get() const {
    std::vector<std::byte> values(size_);
    to_host(there(), view(reinterpret_cast<std::uint8_t*>(values.data()), {count()}), stream_);
    return values;
  }

 private:
  bool on_device() const { return stream_.backend == Backend::cuda; }
  std::int64_t count() const { return static_cast<std::int64_t>(size_); }
  TensorView there() const { return view(reinterpret_cast<std::uint8_t*>(data_), {count()}); }

  Stream stream_;
  std::byte* data_ = nullptr;
  std::size_t size_;
};

template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

/// Reduces through memory of the backend.
template <class T>
std::vector<T> reduced(Communicator& plane, std::vector<T> values, Reduce op, const Stream& stream) {
  const Bytes memory(bytes_of(values), stream);
  plane.all_reduce(std::span<T>(reinterpret_cast<T*>(memory.span().data()), values.size()), op, WireKind::adapter_gradient);
  const auto result = memory.get();
  std::memcpy(values.data(), result.data(), result.size());
  return values;
}

/// All ranks of these tests are on one node.
class DataPlane : public testing::TestWithParam<const char*> {
 protected:
  DataPlane() {
    if (const int count = device_count(); count > 0) {
      emulated_ = use_device(world_->rank() % count).name == "emulated";
      stream_ = make_device_stream();
    }
  }
  ~DataPlane() override {
    plane_.reset();
    destroy_device_stream(stream_);
  }
  void SetUp() override {
    if (std::strcmp(GetParam(), "nccl") == 0 && !nccl_can_run()) {
      GTEST_SKIP() << "no NCCL, or no GPU for each rank";
    }
    plane_ = make_data_plane(*world_, *value_of_word(kCommunicators, GetParam()), stream_);
  }

  bool nccl_can_run() const {
    if (!why_no_nccl().empty() || device_count() == 0) {
      return false;
    }
    const auto all = all_gather_strings(*world_, nccl_device_address());
    return std::set<std::string>(all.begin(), all.end()).size() == all.size();
  }
  bool is_nccl() const { return nccl_can_run() && world_->size() > 1 && std::strcmp(GetParam(), "mpi") != 0; }
  int size() const { return world_->size(); }
  int rank() const { return world_->rank(); }

  std::unique_ptr<Communicator> world_ = make_mpi_world();
  Stream stream_;
  bool emulated_ = false;
  std::unique_ptr<Communicator> plane_;
};

TEST_P(DataPlane, GathersInRankOrder) {
  EXPECT_EQ(plane_->rank(), rank());
  EXPECT_EQ(plane_->size(), size());
  for (const std::size_t part : {std::size_t{1}, std::size_t{149}, std::size_t{70001}}) {
    const std::int64_t before = plane_->wire()[WireKind::base_gather];
    const Bytes mine(part_of(rank(), part), stream_);
    const Bytes all(part * static_cast<std::size_t>(size()), stream_);
    plane_->all_gather(mine.span(), all.span(), WireKind::base_gather);
    EXPECT_EQ(all.get(), parts_of(0, size(), part));
    EXPECT_EQ(plane_->wire()[WireKind::base_gather] - before, size() == 1 ? 0 : static_cast<std::int64_t>(part));
  }
  plane_->all_gather({}, {}, WireKind::base_gather);
}

TEST_P(DataPlane, GathersUnderWayFollowTheStreamOnBothSides) {
  const std::size_t part = 5003;
  const std::size_t whole = part * static_cast<std::size_t>(size());
  Bytes mine(part, stream_);
  Bytes other(part_of(rank() + 1, part), stream_);
  Bytes first(whole, stream_);
  Bytes second(whole, stream_);
  Bytes kept(whole, stream_);
  for (int round = 0; round < 3; ++round) {
    mine.set(part_of(rank() + round, part));                    // still pending when the gather starts
    first.set(std::vector<std::byte>(whole, std::byte{0xEE}));  // also pending; the gather must come after it
    const auto pending = plane_->start_all_gather(mine.span(), first.span(), WireKind::base_gather);
    const auto pending_second = plane_->start_all_gather(other.span(), second.span(), WireKind::base_gather);
    EXPECT_EQ(reduced<std::int64_t>(*plane_, {1}, Reduce::sum, stream_)[0], size());
    pending->progress();
    pending_second->progress();
    pending_second->wait();
    pending_second->wait();  // a second wait is harmless
    pending->wait();
    pending->progress();
    copy_bytes(kept.span().data(), first.span().data(), whole, stream_);                  // an operator that reads the whole
    plane_->start_all_gather(other.span(), first.span(), WireKind::base_gather).reset();  // must not overtake it
    EXPECT_EQ(kept.get(), parts_of(round, size(), part));
    EXPECT_EQ(second.get(), parts_of(1, size(), part));
  }
}

TEST_P(DataPlane, OperatorsAfterAGatherStartWhenItIsOver) {
  const std::size_t part = 601;
  const std::size_t whole = part * static_cast<std::size_t>(size());
  const Bytes mine(part_of(rank(), part), stream_);
  Bytes all(std::vector<std::byte>(whole, std::byte{0xEE}), stream_);
  const Bytes kept(whole, stream_);
  // Nothing else makes the host wait meanwhile.
  const auto pending = plane_->start_all_gather(mine.span(), all.span(), WireKind::base_gather);
  pending->wait();
  copy_bytes(kept.span().data(), all.span().data(), whole, stream_);
  EXPECT_EQ(kept.get(), parts_of(0, size(), part));
  // Also after a gather without wait(): later writes are kept.
  const std::vector<std::byte> later(whole, std::byte{0x77});
  plane_->start_all_gather(mine.span(), all.span(), WireKind::base_gather).reset();
  all.set(later);
  synchronize(stream_);
  EXPECT_EQ(reduced<std::int64_t>(*plane_, {1}, Reduce::sum, stream_)[0], size());  // the last of the gather has run by now
  EXPECT_EQ(all.get(), later);
}

TEST_P(DataPlane, ReducesIntegersExactly) {
  const std::int64_t big = std::int64_t{1} << 59;  // beyond what a double keeps
  const std::int64_t n = size();
  std::vector<std::int64_t> values(1001);
  std::vector<std::int64_t> expected(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = big + static_cast<std::int64_t>(i) + rank();
    expected[i] = n * (big + static_cast<std::int64_t>(i)) + n * (n - 1) / 2;
  }
  const std::int64_t before = plane_->wire()[WireKind::adapter_gradient];
  EXPECT_EQ(reduced(*plane_, values, Reduce::sum, stream_), expected);
  EXPECT_EQ(plane_->wire()[WireKind::adapter_gradient] - before, n == 1 ? 0 : 8 * 1001);
  EXPECT_EQ(reduced<std::int64_t>(*plane_, {big + rank(), -rank()}, Reduce::max, stream_),
            (std::vector<std::int64_t>{big + n - 1, 0}));
  EXPECT_EQ(reduced<std::int64_t>(*plane_, {big + rank(), -rank()}, Reduce::min, stream_),
            (std::vector<std::int64_t>{big, 1 - n}));
}

/// Integers, whose sum is exact in every order and type.
TEST_P(DataPlane, SumsWholeAndScattered) {
  const std::int64_t part = 353;
  const std::int64_t count = part * size();
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    if (dtype != DType::f32 && stream_.backend != Backend::cuda) {
      continue;
    }
    const auto share = [&](int of) {
      std::vector<float> values(static_cast<std::size_t>(count));
      for (std::size_t i = 0; i < values.size(); ++i) {
        values[i] = static_cast<float>((i * 5 + static_cast<std::size_t>(of) * 11) % 17) - 8.0F;
      }
      return values;
    };
    std::vector<float> expected(static_cast<std::size_t>(count));
    for (int of = 0; of < size(); ++of) {
      const std::vector<float> values = share(of);
      std::transform(values.begin(), values.end(), expected.begin(), expected.begin(), std::plus<>());
    }
    const auto narrow = [&](const std::vector<float>& values) {
      std::vector<std::byte> bytes(values.size() * size_of(dtype));
      cast_cpu(view(std::span(values)), {bytes.data(), dtype, {count}}, Stream{});
      return bytes;
    };
    const std::int64_t before = plane_->wire()[WireKind::tensor_activation];
    const Bytes whole(narrow(share(rank())), stream_);
    plane_->all_reduce_sum({whole.span().data(), dtype, {count}}, WireKind::tensor_activation);
    EXPECT_EQ(whole.get(), narrow(expected));
    const Bytes scattered(narrow(share(rank())), stream_);
    plane_->reduce_scatter_sum({scattered.span().data(), dtype, {count}}, WireKind::tensor_activation);
    const std::size_t bytes = static_cast<std::size_t>(part) * size_of(dtype);
    const auto mine = [&](const std::vector<std::byte>& all) {
      const auto from = all.begin() + static_cast<std::ptrdiff_t>(bytes) * rank();
      return std::vector<std::byte>(from, from + static_cast<std::ptrdiff_t>(bytes));
    };
    EXPECT_EQ(mine(scattered.get()), mine(narrow(expected)));
    const auto sent =
        static_cast<std::int64_t>(2 * static_cast<std::size_t>(count) * (is_nccl() ? size_of(dtype) : sizeof(float)));
    EXPECT_EQ(plane_->wire()[WireKind::tensor_activation] - before, size() == 1 ? 0 : sent);
  }
}

TEST_P(DataPlane, ScattersSumsOfIntegers) {
  constexpr std::int64_t kPart = 77;
  std::vector<std::int64_t> expected(static_cast<std::size_t>(kPart * size()));
  std::vector<std::int64_t> mine(expected.size());
  for (std::size_t i = 0; i < mine.size(); ++i) {
    const auto value = [&](int of) { return (std::int64_t{1} << 50) * (of - 1) + static_cast<std::int64_t>(i) * 5; };
    mine[i] = value(rank());
    for (int of = 0; of < size(); ++of) {
      expected[i] += value(of);
    }
  }
  const auto bytes_of_part = [&](const std::vector<std::int64_t>& all) {
    const auto part = std::as_bytes(std::span(all)).subspan(static_cast<std::size_t>(kPart * rank()) * 8, kPart * 8);
    return std::vector<std::byte>(part.begin(), part.end());
  };
  const auto all = std::as_bytes(std::span(mine));
  const Bytes scattered(std::vector<std::byte>(all.begin(), all.end()), stream_);
  plane_->reduce_scatter_sum({scattered.span().data(), DType::i64, {kPart * size()}}, WireKind::adapter_gradient);
  const std::vector<std::byte> got = scattered.get();
  const auto from = got.begin() + static_cast<std::ptrdiff_t>(kPart) * 8 * rank();
  EXPECT_EQ(std::vector<std::byte>(from, from + kPart * 8), bytes_of_part(expected));
}

/// Two pending all-reduces, and operators enqueued before and after them.
TEST_P(DataPlane, SumsBesideOperators) {
  EXPECT_EQ(plane_->sums_beside(), is_nccl());
  const std::size_t count = 1009;
  const auto share = [&](float factor) { return bytes_of(std::vector<float>(count, factor * static_cast<float>(rank() + 1))); };
  const float ranks = static_cast<float>(size() * (size() + 1) / 2);
  const Bytes first(share(0.0F), stream_);
  const Bytes second(share(0.0F), stream_);
  const Bytes kept(count * sizeof(float), stream_);
  const auto values = [&](const Bytes& bytes) { return view(reinterpret_cast<float*>(bytes.span().data()), {count}); };
  for (const float factor : {1.0F, 3.0F}) {
    first.set(share(factor));  // still pending when the all-reduce starts
    const auto of_first = plane_->start_all_reduce_sum(values(first), WireKind::tensor_activation);
    second.set(share(2.0F * factor));
    const auto of_second = plane_->start_all_reduce_sum(values(second), WireKind::tensor_activation);
    of_first->wait();
    copy(values(first), values(kept), stream_);  // an operator that reads the sum
    of_second->wait();
    EXPECT_EQ(kept.get(), bytes_of(std::vector<float>(count, factor * ranks)));
    EXPECT_EQ(second.get(), bytes_of(std::vector<float>(count, 2.0F * factor * ranks)));
  }
}

TEST_P(DataPlane, ReducesDoublesAsTheWorldDoes) {
  const double last = size() - 1;
  EXPECT_EQ(reduced<double>(*plane_, {0.1 + rank(), -1.0 * rank()}, Reduce::max, stream_),
            (std::vector<double>{0.1 + last, 0.0}));
  const double odd = rank() == size() - 1 ? std::numeric_limits<double>::quiet_NaN() : 1.0;
  EXPECT_TRUE(std::isnan(reduced<double>(*plane_, {odd}, Reduce::min, stream_)[0]));
  EXPECT_THROW(reduced<double>(*plane_, {1.0}, Reduce::sum, stream_), KernelError);
}

TEST_P(DataPlane, BroadcastsFromEveryRoot) {
  for (int root = 0; root < size(); ++root) {
    const std::int64_t before = plane_->wire()[WireKind::tensor_activation];
    const Bytes data(part_of(rank(), 1234), stream_);
    plane_->broadcast(data.span(), root, WireKind::tensor_activation);
    EXPECT_EQ(data.get(), part_of(root, 1234));
    EXPECT_EQ(plane_->wire()[WireKind::tensor_activation] - before, rank() == root && size() > 1 ? 1234 : 0);
  }
  plane_->barrier();
}

TEST_P(DataPlane, SplitsIntoGroupsOfSeveralAndOfOne) {
  const int color = rank() % 2;
  auto group = plane_->split(color);
  ASSERT_EQ(group->size(), (size() + 1 - color) / 2);
  ASSERT_EQ(group->rank(), rank() / 2);
  const Bytes mine(part_of(rank(), 777), stream_);
  const Bytes all(777 * static_cast<std::size_t>(group->size()), stream_);
  const auto pending = group->start_all_gather(mine.span(), all.span(), WireKind::base_gather);
  EXPECT_EQ(reduced<std::int64_t>(*plane_, {2}, Reduce::sum, stream_)[0], 2 * size());  // both groups at once
  pending->wait();
  EXPECT_EQ(all.get(), parts_of(color, group->size(), 777, 2));
  EXPECT_EQ(plane_->wire()[WireKind::base_gather], group->size() == 1 ? 0 : 777);
  const auto alone = plane_->split(rank());
  EXPECT_EQ(alone->size(), 1);
  EXPECT_EQ(reduced<std::int64_t>(*alone, {rank()}, Reduce::sum, stream_)[0], rank());
  plane_.reset();
  group->barrier();  // a group outlives the one it came from
  EXPECT_EQ(reduced<std::int64_t>(*group, {1}, Reduce::sum, stream_)[0], group->size());
}

TEST_P(DataPlane, WrongSizesAreAProgrammingError) {
  const Bytes mine(4, stream_);
  const Bytes all(4 * static_cast<std::size_t>(size()) + 1, stream_);
  EXPECT_THROW(plane_->all_gather(mine.span(), all.span(), WireKind::control), KernelError);
  EXPECT_THROW(plane_->broadcast(mine.span(), size(), WireKind::control), KernelError);
}

TEST_P(DataPlane, NcclWhereItCannotRunIsAUsageErrorOnEveryRank) {
  if (nccl_can_run()) {
    GTEST_SKIP() << "it can";
  }
  try {
    make_data_plane(*world_, CommunicatorKind::nccl, stream_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    EXPECT_EQ(error.scope(), ErrorScope::collective);
    EXPECT_THAT(error.what(), testing::HasSubstr("\"mpi\""));
  }
}

/// The name of the collective, the rank and NCCL's reason are in the message; afterwards the group is aborted.
TEST_P(DataPlane, ALostPeerIsNamedByTheNextCollective) {
  if (!is_nccl() || !emulated_) {
    GTEST_SKIP() << "only the emulated NCCL loses peers when it is asked to";
  }
  Bytes mine(part_of(rank(), 64), stream_);
  Bytes all(64 * static_cast<std::size_t>(size()), stream_);
  setenv("LORA_DIST_EMULATED_NCCL_BREAKS_AT", "1", 1);
  const auto pending = plane_->start_all_gather(mine.span(), all.span(), WireKind::base_gather);
  unsetenv("LORA_DIST_EMULATED_NCCL_BREAKS_AT");
  for (const char* again : {"the emulated peer is lost", "aborted"}) {
    try {
      pending->wait();
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::communication);
      EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("rank " + std::to_string(rank())),
                                               testing::HasSubstr("all_gather"), testing::HasSubstr(again)));
    }
  }
  EXPECT_THROW(reduced<std::int64_t>(*plane_, {1}, Reduce::sum, stream_), Error);
}

/// The loss appears only after the gather is enqueued, and blocks the stream: the host must not wait inside CUDA.
TEST_P(DataPlane, APeerLostLaterIsNamedByWhoeverWaitsForTheStream) {
  if (!is_nccl() || !emulated_) {
    GTEST_SKIP() << "only the emulated NCCL loses peers when it is asked to";
  }
  const auto part = plane_->split(0);
  Bytes mine(part_of(rank(), 64), stream_);
  Bytes all(64 * static_cast<std::size_t>(size()), stream_);
  setenv("LORA_DIST_EMULATED_NCCL_BREAKS_AT", "1", 1);
  setenv("LORA_DIST_EMULATED_NCCL_HANGS", "10", 1);
  const auto pending = part->start_all_gather(mine.span(), all.span(), WireKind::base_gather);
  unsetenv("LORA_DIST_EMULATED_NCCL_BREAKS_AT");
  unsetenv("LORA_DIST_EMULATED_NCCL_HANGS");
  pending->wait();
  std::vector<std::uint8_t> here(all.span().size());
  try {
    to_host(view(reinterpret_cast<const std::uint8_t*>(all.span().data()), {static_cast<std::int64_t>(here.size())}),
            view(std::span(here)), stream_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::communication);
    EXPECT_EQ(error.scope(), ErrorScope::consequence);
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("rank " + std::to_string(rank())),
                                             testing::HasSubstr("all_gather"), testing::HasSubstr("the emulated peer is lost")));
  }
  EXPECT_NO_THROW(synchronize(stream_));  // every group was aborted, so nothing blocks the stream
  EXPECT_THROW(reduced<std::int64_t>(*plane_, {1}, Reduce::sum, stream_), Error);
}

/// A rank that leaves with its own error does not wait, even if NCCL never reports a lost peer.
TEST_P(DataPlane, GroupsThatAreGivenUpHoldNoStream) {
  if (!is_nccl() || !emulated_) {
    GTEST_SKIP() << "only the emulated NCCL loses peers when it is asked to";
  }
  const auto part = plane_->split(0);
  Bytes mine(part_of(rank(), 64), stream_);
  Bytes all(64 * static_cast<std::size_t>(size()), stream_);
  setenv("LORA_DIST_EMULATED_NCCL_BREAKS_AT", "1", 1);
  setenv("LORA_DIST_EMULATED_NCCL_HANGS", "1000000000", 1);
  part->start_all_gather(mine.span(), all.span(), WireKind::base_gather).reset();
  unsetenv("LORA_DIST_EMULATED_NCCL_BREAKS_AT");
  unsetenv("LORA_DIST_EMULATED_NCCL_HANGS");
  part->abort();
  EXPECT_NO_THROW(synchronize(stream_));
  EXPECT_THROW(reduced<std::int64_t>(*plane_, {1}, Reduce::sum, stream_), Error);  // the group that it came from as well
}

/// Otherwise ranks would wait in NCCL's initialisation for the failed rank.
TEST_P(DataPlane, ARankThatCannotStartNcclIsNamedOnEveryRank) {
  if (!is_nccl() || !emulated_) {
    GTEST_SKIP() << "only the emulated NCCL fails to start when it is asked to";
  }
  setenv("LORA_DIST_EMULATED_NCCL_START_FAILS_RANK1", "1", 1);
  try {
    make_data_plane(*world_, CommunicatorKind::nccl, stream_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::communication);
    EXPECT_EQ(error.scope(), ErrorScope::collective);
    EXPECT_THAT(error.what(), testing::AllOf(testing::StartsWith("rank 1: NCCL did not start"),
                                             testing::HasSubstr("the emulated network is down"),
                                             testing::HasSubstr("parallel.communicator = \"mpi\"")));
  }
  unsetenv("LORA_DIST_EMULATED_NCCL_START_FAILS_RANK1");
}

INSTANTIATE_TEST_SUITE_P(Communicator, DataPlane, testing::Values("auto", "mpi", "nccl"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace lora_dist

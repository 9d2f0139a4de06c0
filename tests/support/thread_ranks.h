// Ranks as threads of one process, to test collective code without mpirun and under the sanitizers.
#pragma once

#include <barrier>
#include <cstring>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "src/comm/done_collective.h"

namespace lora_dist::test {

/// What the ranks of a group share.
struct ThreadGroup {
  explicit ThreadGroup(int ranks)
      : size(ranks), meeting(ranks), sent(static_cast<std::size_t>(ranks)), made(static_cast<std::size_t>(ranks)) {}
  int size;
  std::barrier<> meeting;
  std::vector<std::span<std::byte>> sent;          // per rank, during a collective
  std::vector<std::shared_ptr<ThreadGroup>> made;  // per colour, during a split
};

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<ThreadGroup> group, int rank, std::shared_ptr<WireBytes> wire)
      : group_(std::move(group)), rank_(rank), wire_(std::move(wire)) {}

  int rank() const override { return rank_; }
  int size() const override { return group_->size; }

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) override {
    count(static_cast<std::int64_t>(mine.size()), kind);
    share({const_cast<std::byte*>(mine.data()), mine.size()}, [&] {
      std::size_t at = 0;
      for (const auto part : group_->sent) {
        if (!part.empty()) {
          std::memmove(all.data() + at, part.data(), part.size());
        }
        at += part.size();
      }
    });
  }

  std::unique_ptr<PendingCollective> start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                                                      WireKind kind) override {
    all_gather(mine, all, kind);
    return std::make_unique<DoneCollective>();
  }

  void all_reduce(std::span<std::int64_t> values, Reduce op, WireKind kind) override { reduce(values, op, kind); }
  void all_reduce(std::span<double> values, Reduce op, WireKind kind) override { reduce(values, op, kind); }

  void all_reduce_sum(const TensorView& values, WireKind kind) override {
    const std::span<float> mine(values.as<float>(), static_cast<std::size_t>(values.count()));
    count(static_cast<std::int64_t>(mine.size_bytes()), kind);
    std::vector<float> sum(mine.size());
    share(std::as_writable_bytes(mine), [&] {
      for (const auto part : group_->sent) {
        const auto* theirs = reinterpret_cast<const float*>(part.data());
        for (std::size_t i = 0; i < sum.size(); ++i) {
          sum[i] += theirs[i];
        }
      }
    });
    std::copy(sum.begin(), sum.end(), mine.begin());
    barrier();
  }

  /// Undefined values become NaN, which detects reads of them.
  void reduce_scatter_sum(const TensorView& values, WireKind kind) override {
    const TensorView mine = equal_part(values, rank_, size());
    if (values.dtype == DType::i64) {
      const std::span<std::int64_t> sums(values.as<std::int64_t>(), static_cast<std::size_t>(values.count()));
      all_reduce(sums, Reduce::sum, kind);
      for (std::int64_t& sum : sums) {
        sum = &sum >= mine.as<std::int64_t>() && &sum < mine.as<std::int64_t>() + mine.count() ? sum : -1;
      }
      return;
    }
    all_reduce_sum(values, kind);
    auto* all = values.as<float>();
    for (std::int64_t i = 0; i < values.count(); ++i) {
      const bool is_mine = all + i >= mine.as<float>() && all + i < mine.as<float>() + mine.count();
      all[i] = is_mine ? all[i] : std::numeric_limits<float>::quiet_NaN();
    }
  }

  void broadcast(std::span<std::byte> data, int root, WireKind kind) override {
    count(rank_ == root ? static_cast<std::int64_t>(data.size()) : 0, kind);
    share(data, [&] {
      if (rank_ != root && !data.empty()) {
        std::memcpy(data.data(), group_->sent[static_cast<std::size_t>(root)].data(), data.size());
      }
    });
  }

  void barrier() override { group_->meeting.arrive_and_wait(); }

  std::unique_ptr<Communicator> split(int color) override {
    std::vector<int> colors(static_cast<std::size_t>(size()));
    all_gather(std::as_bytes(std::span(&color, 1)), std::as_writable_bytes(std::span(colors)), WireKind::control);
    int members = 0;
    int place = 0;
    for (int r = 0; r < size(); ++r) {
      members += colors[static_cast<std::size_t>(r)] == color ? 1 : 0;
      place += r < rank_ && colors[static_cast<std::size_t>(r)] == color ? 1 : 0;
    }
    if (place == 0) {
      group_->made[static_cast<std::size_t>(rank_)] = std::make_shared<ThreadGroup>(members);
    }
    barrier();
    int leader = 0;
    while (colors[static_cast<std::size_t>(leader)] != color) {
      ++leader;
    }
    auto made = std::make_unique<ThreadCommunicator>(group_->made[static_cast<std::size_t>(leader)], place, wire_);
    barrier();
    return made;
  }

  const WireBytes& wire() const override { return *wire_; }

 private:
  void count(std::int64_t bytes, WireKind kind) { (*wire_)[kind] += size() > 1 ? bytes : 0; }

  template <class Work>
  void share(std::span<std::byte> mine, Work work) {
    group_->sent[static_cast<std::size_t>(rank_)] = mine;
    barrier();
    work();
    barrier();
  }

  template <class T>
  void reduce(std::span<T> values, Reduce op, WireKind kind) {
    count(static_cast<std::int64_t>(values.size_bytes()), kind);
    std::vector<T> result(values.begin(), values.end());
    share(std::as_writable_bytes(values), [&] {
      for (int r = 0; r < size(); ++r) {
        const auto* theirs = reinterpret_cast<const T*>(group_->sent[static_cast<std::size_t>(r)].data());
        for (std::size_t i = 0; r != rank_ && i < result.size(); ++i) {
          result[i] = op == Reduce::sum   ? result[i] + theirs[i]
                      : op == Reduce::max ? std::max(result[i], theirs[i])
                                          : std::min(result[i], theirs[i]);
        }
      }
    });
    std::copy(result.begin(), result.end(), values.begin());
    barrier();
  }

  std::shared_ptr<ThreadGroup> group_;
  int rank_;
  std::shared_ptr<WireBytes> wire_;
};

/// Calls work(communicator) on `ranks` threads and rethrows the first rank's exception. If one rank alone throws between
/// collectives the test hangs, as the program would: use run_together.
inline void on_ranks(int ranks, const std::function<void(Communicator&)>& work) {
  auto group = std::make_shared<ThreadGroup>(ranks);
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        ThreadCommunicator comm(group, rank, std::make_shared<WireBytes>());
        work(comm);
      } catch (...) {
        failures[static_cast<std::size_t>(rank)] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) {
      std::rethrow_exception(failure);
    }
  }
}

}  // namespace lora_dist::test

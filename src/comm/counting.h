// A group that exists only on this rank: its collectives are counted and move nothing. For dry runs.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "src/comm/communicator.h"

namespace lora_dist {

/// Numbers of calls, and this rank's payload in them.
struct CollectiveCount {
  std::int64_t sums = 0;  // all_reduce; broadcasts are in wire() only
  std::int64_t summed_bytes = 0;
  std::int64_t scatters = 0;  // reduce_scatter
  std::int64_t scattered_bytes = 0;
  std::int64_t gathers = 0;  // all_gather
  std::int64_t gathered_bytes = 0;

  std::int64_t bytes() const { return summed_bytes + scattered_bytes + gathered_bytes; }
  CollectiveCount& operator+=(const CollectiveCount& other);
  bool operator==(const CollectiveCount&) const = default;
};
/// `all` without the counts of `part`.
CollectiveCount operator-(const CollectiveCount& all, const CollectiveCount& part);

/// Rank and size that this rank pretends to have.
struct CountedGroup {
  int rank = 0;
  int size = 1;
  bool sums_in_f32 = false;  // 16-bit values are summed as floats, as MPI does through the host
};

/// Touches no memory. A sum is counted as one call when it starts; a transport that overlaps sums with operators sends the same
/// bytes in several calls.
class CountingCommunicator final : public Communicator {
 public:
  explicit CountingCommunicator(const CountedGroup& group) : group_(group) {}

  const CollectiveCount& count() const { return count_; }

  int rank() const override { return group_.rank; }
  int size() const override { return group_.size; }
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) override;
  std::unique_ptr<PendingCollective> start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                                                      WireKind kind) override;
  void all_reduce(std::span<std::int64_t> values, Reduce op, WireKind kind) override;
  void all_reduce(std::span<double> values, Reduce op, WireKind kind) override;
  void all_reduce_sum(const TensorView& values, WireKind kind) override;
  void reduce_scatter_sum(const TensorView& values, WireKind kind) override;
  void broadcast(std::span<std::byte> data, int root, WireKind kind) override;
  void barrier() override {}
  std::unique_ptr<Communicator> split(int color) override;
  const WireBytes& wire() const override { return wire_; }

 private:
  std::int64_t summed_bytes(const TensorView& values) const;
  void add_sum(std::int64_t bytes, WireKind kind);

  CountedGroup group_;
  CollectiveCount count_;
  WireBytes wire_;
};

}  // namespace lora_dist

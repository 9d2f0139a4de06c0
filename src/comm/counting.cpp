// Counts the bytes that a transport would get.
#include "src/comm/counting.h"

#include "kernels/common/check.h"
#include "src/comm/done_collective.h"

namespace lora_dist {

CollectiveCount& CollectiveCount::operator+=(const CollectiveCount& other) {
  sums += other.sums;
  summed_bytes += other.summed_bytes;
  scatters += other.scatters;
  scattered_bytes += other.scattered_bytes;
  gathers += other.gathers;
  gathered_bytes += other.gathered_bytes;
  return *this;
}

CollectiveCount operator-(const CollectiveCount& all, const CollectiveCount& part) {
  return {all.sums - part.sums,         all.summed_bytes - part.summed_bytes,
          all.scatters - part.scatters, all.scattered_bytes - part.scattered_bytes,
          all.gathers - part.gathers,   all.gathered_bytes - part.gathered_bytes};
}

std::int64_t CountingCommunicator::summed_bytes(const TensorView& values) const {
  const std::size_t each = group_.sums_in_f32 && size_of(values.dtype) == 2 ? sizeof(float) : size_of(values.dtype);
  return values.count() * static_cast<std::int64_t>(each);
}

void CountingCommunicator::all_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) {
  require(all.size() == mine.size() * static_cast<std::size_t>(group_.size),
          "all_gather: all.size() must be mine.size() * size()");
  const auto bytes = static_cast<std::int64_t>(mine.size());
  ++count_.gathers;
  count_.gathered_bytes += bytes;
  wire_[kind] += bytes;
}

std::unique_ptr<PendingCollective> CountingCommunicator::start_all_gather(std::span<const std::byte> mine,
                                                                          std::span<std::byte> all, WireKind kind) {
  all_gather(mine, all, kind);
  return std::make_unique<DoneCollective>();
}

void CountingCommunicator::add_sum(std::int64_t bytes, WireKind kind) {
  ++count_.sums;
  count_.summed_bytes += bytes;
  wire_[kind] += bytes;
}

void CountingCommunicator::all_reduce(std::span<std::int64_t> values, Reduce /*op*/, WireKind kind) {
  add_sum(static_cast<std::int64_t>(values.size_bytes()), kind);
}

void CountingCommunicator::all_reduce(std::span<double> values, Reduce op, WireKind kind) {
  require(op != Reduce::sum, "all_reduce: doubles have no sum that is the same on every mesh");
  add_sum(static_cast<std::int64_t>(values.size_bytes()), kind);
}

void CountingCommunicator::all_reduce_sum(const TensorView& values, WireKind kind) { add_sum(summed_bytes(values), kind); }

void CountingCommunicator::reduce_scatter_sum(const TensorView& values, WireKind kind) {
  require(values.count() % group_.size == 0, "values are not divided into equal parts");
  const std::int64_t bytes = summed_bytes(values);
  ++count_.scatters;
  count_.scattered_bytes += bytes;
  wire_[kind] += bytes;
}

void CountingCommunicator::broadcast(std::span<std::byte> data, int root, WireKind kind) {
  if (group_.rank == root) {
    wire_[kind] += static_cast<std::int64_t>(data.size());
  }
}

std::unique_ptr<Communicator> CountingCommunicator::split(int /*color*/) {
  throw KernelError("a CountingCommunicator has no other ranks, and so cannot be split");
}

}  // namespace lora_dist

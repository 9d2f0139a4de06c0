// A group of ranks and its collectives: the program's one virtual interface, implemented over MPI and NCCL.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/common/stream.h"
#include "kernels/common/tensor_view.h"
#include "src/comm/wire.h"

namespace lora_dist {

/// A gather or a sum under way. Destroying it before wait() waits, and tells nobody how it ended. wait() and progress() throw why
/// it failed; then it is over, and destroying it waits for nothing.
class PendingCollective {
 public:
  PendingCollective() = default;
  PendingCollective(const PendingCollective&) = delete;
  PendingCollective& operator=(const PendingCollective&) = delete;
  virtual ~PendingCollective() = default;
  /// Returns when the result is ready, or will be ready before later work on the communicator's stream.
  virtual void wait() = 0;
  /// Makes progress; call it periodically while computing. True if wait() would not block the host.
  virtual bool progress() = 0;
};

enum class Reduce : std::uint8_t { sum, max, min };

/// All calls are collective over the group. Each throws Error(communication) naming the collective if the transport fails. Sizes
/// must agree on all ranks.
class Communicator {
 public:
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// all = the concatenation of the ranks' `mine`, in rank order. all.size() == mine.size() * size().
  virtual void all_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) = 0;
  /// Starts an all-gather. `mine` and `all` must live until wait().
  virtual std::unique_ptr<PendingCollective> start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                                                              WireKind kind) = 0;
  virtual void all_reduce(std::span<std::int64_t> values, Reduce op, WireKind kind) = 0;
  /// max and min only (a sum of doubles depends on order). NaN on any rank gives NaN on all.
  virtual void all_reduce(std::span<double> values, Reduce op, WireKind kind) = 0;
  /// values = their sum over the ranks, the same bits on every rank. f32 is added in rank order. Groups over device memory also
  /// take bf16 and f16, which are added in f32 and rounded once through the host; NCCL has its own order and accumulation type,
  /// the same in every run of a group on the same links.
  virtual void all_reduce_sum(const TensorView& values, WireKind kind) = 0;
  /// Starts that all-reduce. It overlaps the operators if sums_beside(); otherwise it is complete on return. `values` must not be
  /// read or written until wait().
  virtual std::unique_ptr<PendingCollective> start_all_reduce_sum(const TensorView& values, WireKind kind);
  /// True if started all-reduces overlap the operators.
  virtual bool sums_beside() const { return false; }
  /// `values`: size() equal parts. Part rank() receives its part of the sum (over MPI and through the host with the bits of
  /// all_reduce_sum); the other parts become undefined. Also takes i64, whose sums are exact in any order.
  virtual void reduce_scatter_sum(const TensorView& values, WireKind kind) = 0;
  virtual void broadcast(std::span<std::byte> data, int root, WireKind kind) = 0;
  virtual void barrier() = 0;
  /// Ranks with equal `color` form a new group, ordered by their rank in this one. Byte counts are added to the same ledger.
  virtual std::unique_ptr<Communicator> split(int color) = 0;

  /// For groups over device memory: from now on collectives are ordered with `stream` instead of the operators' stream. No
  /// collective may be pending. No effect for host memory.
  virtual void follow(const Stream& /*stream*/) {}

  /// Aborts pending collectives, so that a rank that leaves with an error does not wait for other ranks. Not collective. Groups
  /// over this transport are unusable afterwards. No effect for MPI.
  virtual void abort() {}

  virtual const WireBytes& wire() const = 0;
};

/// The memory of a contiguous view.
std::span<std::byte> bytes_of(const TensorView& values);
/// Part `rank` of `ranks` equal parts; throws KernelError if `values` is not divisible.
TensorView equal_part(const TensorView& values, int rank, int ranks);

/// All-gathers strings of different sizes, in rank order (for small control data).
std::vector<std::string> all_gather_strings(Communicator& comm, const std::string& mine);
/// The root's text on every rank.
std::string broadcast_string(Communicator& comm, const std::string& text, int root);

}  // namespace lora_dist

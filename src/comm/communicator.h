// A group of ranks and the collectives over it. The one virtual interface of the program: over MPI, and over NCCL.
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

/// A gather or a sum under way. Destroying it before wait() waits.
class PendingCollective {
 public:
  PendingCollective() = default;
  PendingCollective(const PendingCollective&) = delete;
  PendingCollective& operator=(const PendingCollective&) = delete;
  virtual ~PendingCollective() = default;
  /// The result is there when it returns, or will be before what the communicator's stream is given from then on.
  virtual void wait() = 0;
  /// Lets the transport move bytes; call it now and then while computing. True when wait() would not hold up the host.
  virtual bool progress() = 0;
};

enum class Reduce : std::uint8_t { sum, max, min };

/// All calls are collective over the group. Each throws Error(communication) naming the collective when the transport fails.
/// Sizes must agree on all ranks.
class Communicator {
 public:
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// all = the concatenation of everybody's `mine`, in rank order. all.size() == mine.size() * size().
  virtual void all_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) = 0;
  /// The same, not waited for. `mine` and `all` must live until wait().
  virtual std::unique_ptr<PendingCollective> start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                                                              WireKind kind) = 0;
  virtual void all_reduce(std::span<std::int64_t> values, Reduce op, WireKind kind) = 0;
  /// max and min only (a sum of doubles depends on order). A NaN on any rank is a NaN on all.
  virtual void all_reduce(std::span<double> values, Reduce op, WireKind kind) = 0;
  /// values = their sum over the ranks, the same on every rank. f32, added in the order of the ranks; where the group is over
  /// device memory also bf16 or f16. Through the host those are added in f32 and rounded once; NCCL adds in an order and a type
  /// of its own, the same in every run of one group on the same links.
  virtual void all_reduce_sum(const TensorView& values, WireKind kind) = 0;
  /// The same, not waited for, where the transport works on it beside the operators; elsewhere it is over when this returns.
  /// Nobody may read or write `values` until wait().
  virtual std::unique_ptr<PendingCollective> start_all_reduce_sum(const TensorView& values, WireKind kind);
  /// Whether sums that are started go on beside the operators.
  virtual bool sums_beside() const { return false; }
  /// `values`: size() equal parts. Part rank() becomes that of the sum, over MPI and through the host in the bits of
  /// all_reduce_sum; the others are undefined afterwards.
  virtual void reduce_scatter_sum(const TensorView& values, WireKind kind) = 0;
  virtual void broadcast(std::span<std::byte> data, int root, WireKind kind) = 0;
  virtual void barrier() = 0;
  /// Ranks with equal `color` form a new group, ordered by their rank in this one. Byte counts go to the same ledger.
  virtual std::unique_ptr<Communicator> split(int color) = 0;

  /// For groups over device memory: from now on collectives start after what `stream` was given, and their results are there in
  /// its order. Until then it is the operators' stream. Nothing may be under way. In host memory it changes nothing.
  virtual void follow(const Stream& /*stream*/) {}

  /// Not collective: ends what is under way, so that a rank that leaves with an error waits for nobody. No group over this
  /// transport is of use afterwards. MPI has nothing to end here.
  virtual void give_up() {}

  virtual const WireBytes& wire() const = 0;
};

/// The memory of a view whose rows lie end to end.
std::span<std::byte> bytes_of(const TensorView& values);
/// Part `rank` of as many equal ones; throws KernelError where `values` has no such parts.
TensorView equal_part(const TensorView& values, int rank, int ranks);

/// Pieces of different sizes from every rank, on every rank, in rank order (for text and other small control data).
std::vector<std::string> all_gather_strings(Communicator& comm, const std::string& mine);
/// Root's text on every rank.
std::string broadcast_string(Communicator& comm, const std::string& text, int root);

}  // namespace lora_dist

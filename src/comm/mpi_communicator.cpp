// Communicator over MPI. Messages are sent in pieces below 2^31 bytes, the same on every rank.
#include "src/comm/mpi_communicator.h"

#include <mpi.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/common/check.h"
#include "src/comm/mpi_check.h"
#include "src/comm/mpi_piece.h"
#include "src/comm/mpi_ring.h"
#include "src/comm/ordered_double.h"
#include "src/comm/single_rank.h"

namespace lora_dist {
namespace {

// The tag of gathers. Pending gathers need no distinct tags: their order is the same on every rank, and messages of a pair do not
// overtake each other.
constexpr int kGatherTag = 1;
constexpr int kSumTag = 2;

// The most bytes of one ring: a rank buffers another rank's share in addition to the values.
constexpr std::size_t kMostRingShare = std::size_t{1} << 23U;

/// A pending all-to-all exchange. It does not wait after an error, since the other rank may be gone.
class MpiGather final : public PendingCollective {
 public:
  ~MpiGather() override { MPI_Waitall(count(), requests_.data(), MPI_STATUSES_IGNORE); }

  /// `start` posts a message with the given request.
  template <class Start>
  void add(Start start) {
    MPI_Request request = MPI_REQUEST_NULL;
    check_mpi(start(&request), "all_gather");
    requests_.push_back(request);
  }

  void wait() override {
    std::vector<MPI_Request> requests = std::exchange(requests_, {});
    wait_for_messages(requests, "all_gather");
  }
  bool progress() override {
    int done = 0;
    const int code = MPI_Testall(count(), requests_.data(), &done, MPI_STATUSES_IGNORE);
    if (code != MPI_SUCCESS) {
      requests_.clear();
    }
    check_mpi(code, "all_gather");
    return done != 0;
  }

 private:
  int count() const { return static_cast<int>(requests_.size()); }

  std::vector<MPI_Request> requests_;
};

MPI_Op mpi_op(Reduce op) {
  switch (op) {
    case Reduce::sum:
      return MPI_SUM;
    case Reduce::max:
      return MPI_MAX;
    case Reduce::min:
      return MPI_MIN;
  }
  return MPI_OP_NULL;
}

class MpiCommunicator final : public Communicator {
 public:
  /// Takes ownership of `comm`.
  MpiCommunicator(MPI_Comm comm, std::size_t largest_message, std::shared_ptr<WireBytes> ledger)
      : comm_(comm), largest_message_(largest_message), ledger_(std::move(ledger)) {
    MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN);
    MPI_Comm_rank(comm_, &rank_);
    MPI_Comm_size(comm_, &size_);
  }
  ~MpiCommunicator() override {
    int finalized = 0;
    MPI_Finalized(&finalized);
    if (finalized == 0) {
      MPI_Comm_free(&comm_);
    }
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) override {
    for_each_piece(mine, all, kind, [&](const void* from, int length, void* to, int count, MPI_Datatype type) {
      check_mpi(MPI_Allgather(from, length, MPI_BYTE, to, count, type, comm_), "all_gather");
    });
  }

  /// Every rank sends its part to every other rank. Sends are posted first; mpi_ring.h explains why MPI_Iallgather is not used.
  std::unique_ptr<PendingCollective> start_all_gather(std::span<const std::byte> mine, std::span<std::byte> all,
                                                      WireKind kind) override {
    note_gather(mine, all, kind);
    if (const std::span<std::byte> own = part_of(all, rank_); own.data() != mine.data()) {
      std::copy(mine.begin(), mine.end(), own.begin());
    }
    auto gather = std::make_unique<MpiGather>();
    for (int i = 1; i < size_; ++i) {
      start_messages(mine, *gather, [&](const std::byte* piece, int length, MPI_Request* request) {
        return MPI_Isend(piece, length, MPI_BYTE, (rank_ + i) % size_, kGatherTag, comm_, request);
      });
    }
    for (int i = 1; i < size_; ++i) {
      const int from = (rank_ + size_ - i) % size_;
      start_messages(part_of(all, from), *gather, [&](std::byte* piece, int length, MPI_Request* request) {
        return MPI_Irecv(piece, length, MPI_BYTE, from, kGatherTag, comm_, request);
      });
    }
    return gather;
  }

  void all_reduce(std::span<std::int64_t> values, Reduce op, WireKind kind) override {
    (*ledger_)[kind] += static_cast<std::int64_t>(values.size_bytes());
    if (sums_along_ring(values.size_bytes(), size_, largest_message_)) {
      const std::size_t most =
          static_cast<std::size_t>(size_) * std::min(kMostRingShare, largest_message_) / sizeof(std::int64_t);
      const std::size_t pieces = (values.size() + most - 1) / most;
      for (std::size_t i = 0; i < pieces; ++i) {
        const std::size_t begin = values.size() * i / pieces;
        ring_all_reduce(values.subspan(begin, values.size() * (i + 1) / pieces - begin), mpi_op(op), comm_, kSumTag);
      }
      return;
    }
    const std::size_t piece = std::max<std::size_t>(1, largest_message_ / sizeof(std::int64_t));
    for (std::size_t at = 0; at < values.size(); at += piece) {
      const int count = static_cast<int>(std::min(piece, values.size() - at));
      check_mpi(MPI_Allreduce(MPI_IN_PLACE, values.data() + at, count, MPI_INT64_T, mpi_op(op), comm_), "all_reduce");
    }
  }

  void all_reduce(std::span<double> values, Reduce op, WireKind kind) override {
    require(op != Reduce::sum, "all_reduce: doubles have no sum that is the same on every mesh");
    std::vector<std::int64_t> ordered(values.size());
    std::transform(values.begin(), values.end(), ordered.begin(), [op](double value) { return to_ordered(value, op); });
    all_reduce(std::span<std::int64_t>(ordered), op, kind);
    std::transform(ordered.begin(), ordered.end(), values.begin(), from_ordered);
  }

  /// Each rank sums one share of the values in rank order and sends it to all ranks: MPI's own sum may choose the order by
  /// message size.
  void all_reduce_sum(const TensorView& values, WireKind kind) override {
    const std::span<float> all(values.as<float>(), static_cast<std::size_t>(values.count()));
    (*ledger_)[kind] += static_cast<std::int64_t>(all.size_bytes());
    const std::size_t piece = std::max<std::size_t>(1, largest_message_ / sizeof(float));
    for (std::size_t at = 0; at < all.size(); at += piece) {
      sum_piece(all.subspan(at, std::min(piece, all.size() - at)));
    }
  }

  void reduce_scatter_sum(const TensorView& values, WireKind kind) override {
    const TensorView part = equal_part(values, rank_, size_);
    (*ledger_)[kind] += size_in_bytes(part) * size_;
    const auto count = static_cast<std::size_t>(part.count());
    if (values.dtype == DType::i64) {
      std::vector<std::int64_t> shares;  // of a piece: a block's gradients would be as large again
      sum_parts(values.as<std::int64_t>(), std::span(part.as<std::int64_t>(), count), shares,
                std::min(kMostRingShare, largest_message_));
    } else {
      sum_parts(values.as<float>(), std::span(part.as<float>(), count), shares_, largest_message_);
    }
  }

  void broadcast(std::span<std::byte> data, int root, WireKind kind) override {
    require(root >= 0 && root < size_, "broadcast: root is not a rank of the group");
    if (rank_ == root) {
      (*ledger_)[kind] += static_cast<std::int64_t>(data.size());
    }
    for (std::size_t at = 0; at < data.size(); at += largest_message_) {
      const int count = static_cast<int>(std::min(largest_message_, data.size() - at));
      check_mpi(MPI_Bcast(data.data() + at, count, MPI_BYTE, root, comm_), "broadcast");
    }
  }

  void barrier() override { check_mpi(MPI_Barrier(comm_), "barrier"); }

  std::unique_ptr<Communicator> split(int color) override;

  const WireBytes& wire() const override { return *ledger_; }

 private:
  /// mine = the sum of the ranks' parts of `values` that lie there; `shares`: room for a piece of at most `most` bytes per rank.
  template <class T>
  void sum_parts(const T* values, std::span<T> mine, std::vector<T>& shares, std::size_t most) {
    const std::size_t piece = std::max<std::size_t>(1, most / sizeof(T));
    for (std::size_t at = 0; at < mine.size(); at += piece) {
      const std::span<T> sum = mine.subspan(at, std::min(piece, mine.size() - at));
      const PieceType type(sum.size_bytes(), mine.size_bytes());
      shares.resize(sum.size() * static_cast<std::size_t>(size_));
      check_mpi(MPI_Alltoall(values + at, 1, type.get(), shares.data(), static_cast<int>(sum.size_bytes()), MPI_BYTE, comm_),
                "reduce_scatter");
      add_shares(sum, shares);
    }
  }

  /// sum = the entries of `shares`, added in rank order.
  template <class T>
  void add_shares(std::span<T> sum, const std::vector<T>& shares) const {
    std::copy_n(shares.begin(), sum.size(), sum.begin());
    for (std::size_t r = 1; r < static_cast<std::size_t>(size_); ++r) {
      const T* share = shares.data() + r * sum.size();
      for (std::size_t i = 0; i < sum.size(); ++i) {
        sum[i] += share[i];
      }
    }
  }

  /// Uses MPI's collectives, which use the two directions of a link in turn (mpi_ring.h): TP ranks should share a node.
  void sum_piece(std::span<float> values) {
    const auto ranks = static_cast<std::size_t>(size_);
    std::vector<int> counts(ranks);
    std::vector<int> offsets(ranks);
    for (std::size_t r = 0; r < ranks; ++r) {
      offsets[r] = static_cast<int>(values.size() * r / ranks);
      counts[r] = static_cast<int>(values.size() * (r + 1) / ranks) - offsets[r];
    }
    const auto mine = static_cast<std::size_t>(counts[static_cast<std::size_t>(rank_)]);
    const std::vector<int> equal(ranks, static_cast<int>(mine));
    std::vector<int> in_turn(ranks);
    for (std::size_t r = 0; r < ranks; ++r) {
      in_turn[r] = static_cast<int>(r * mine);
    }
    shares_.resize(mine * ranks);
    check_mpi(MPI_Alltoallv(values.data(), counts.data(), offsets.data(), MPI_FLOAT, shares_.data(), equal.data(), in_turn.data(),
                            MPI_FLOAT, comm_),
              "all_reduce");
    add_shares(std::span<float>(values.data() + offsets[static_cast<std::size_t>(rank_)], mine), shares_);
    check_mpi(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, values.data(), counts.data(), offsets.data(), MPI_FLOAT, comm_),
              "all_reduce");
  }

  void note_gather(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind) {
    require(all.size() == mine.size() * static_cast<std::size_t>(size_), "all_gather: all.size() must be mine.size() * size()");
    (*ledger_)[kind] += static_cast<std::int64_t>(mine.size());
  }

  /// The offset of a rank's part in the gathered whole.
  std::span<std::byte> part_of(std::span<std::byte> all, int rank) const {
    const std::size_t size = all.size() / static_cast<std::size_t>(size_);
    return all.subspan(size * static_cast<std::size_t>(rank), size);
  }

  /// Calls start(piece, length, request) for each piece of `bytes`.
  template <class Bytes, class Start>
  void start_messages(Bytes bytes, MpiGather& gather, Start start) const {
    for (std::size_t at = 0; at < bytes.size(); at += largest_message_) {
      const int length = static_cast<int>(std::min(largest_message_, bytes.size() - at));
      gather.add([&](MPI_Request* request) { return start(bytes.data() + at, length, request); });
    }
  }

  /// Calls gather(from, length, to, count, type) for each piece of `mine`; rank r's piece is written to `to` + r * mine.size().
  template <class Gather>
  void for_each_piece(std::span<const std::byte> mine, std::span<std::byte> all, WireKind kind, Gather gather) {
    note_gather(mine, all, kind);
    // MPI_IN_PLACE for a part that is already in `all` (MPI forbids overlap).
    const bool in_place = mine.data() == all.data() + mine.size() * static_cast<std::size_t>(rank_);
    for (std::size_t at = 0; at < mine.size(); at += largest_message_) {
      const std::size_t length = std::min(largest_message_, mine.size() - at);
      const PieceType type(length, mine.size());
      const void* from = in_place ? MPI_IN_PLACE : mine.data() + at;
      gather(from, static_cast<int>(length), all.data() + at, 1, type.get());
    }
  }

  MPI_Comm comm_;
  std::size_t largest_message_;
  std::shared_ptr<WireBytes> ledger_;
  int rank_ = 0;
  int size_ = 1;
  std::vector<float> shares_;  // every rank's values of the share that this rank sums
};

/// A group of one rank needs no MPI.
std::unique_ptr<Communicator> take_over(MPI_Comm comm, std::size_t largest_message, std::shared_ptr<WireBytes> ledger) {
  int size = 1;
  MPI_Comm_size(comm, &size);
  if (size == 1) {
    MPI_Comm_free(&comm);
    return make_single_rank(std::move(ledger));
  }
  return std::make_unique<MpiCommunicator>(comm, largest_message, std::move(ledger));
}

std::unique_ptr<Communicator> MpiCommunicator::split(int color) {
  MPI_Comm part = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(comm_, color, rank_, &part), "split");
  return take_over(part, largest_message_, ledger_);
}

}  // namespace

std::unique_ptr<Communicator> make_mpi_world(std::size_t largest_message) {
  require(largest_message >= sizeof(std::int64_t) && largest_message <= kLargestMessage, "largest_message is out of range");
  MPI_Comm comm = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &comm), "start");
  return take_over(comm, largest_message, std::make_shared<WireBytes>());
}

}  // namespace lora_dist

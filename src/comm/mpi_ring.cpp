// Ring all-reduce: shares travel round the ring once to be summed, and once more to be distributed.
#include "src/comm/mpi_ring.h"

#include <array>
#include <vector>

#include "src/comm/mpi_check.h"

namespace lora_dist {

namespace {

/// This rank's neighbours in the ring.
struct Ring {
  MPI_Comm comm = MPI_COMM_NULL;
  int tag = 0;
  int rank = 0;
  int size = 1;

  /// Sends `out` to the next rank while `in` comes from the one before.
  void pass_on(std::span<const std::int64_t> out, std::span<std::int64_t> in) const {
    std::array<MPI_Request, 2> requests = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
    check_mpi(MPI_Isend(out.data(), static_cast<int>(out.size()), MPI_INT64_T, (rank + 1) % size, tag, comm, requests.data()),
              "all_reduce");
    check_mpi(MPI_Irecv(in.data(), static_cast<int>(in.size()), MPI_INT64_T, (rank + size - 1) % size, tag, comm, &requests[1]),
              "all_reduce");
    wait_for_messages(requests, "all_reduce");
  }
};

}  // namespace

void ring_all_reduce(std::span<std::int64_t> values, MPI_Op op, MPI_Comm comm, int tag) {
  Ring ring{comm, tag};
  MPI_Comm_rank(comm, &ring.rank);
  MPI_Comm_size(comm, &ring.size);
  const auto share = [&](int i) {  // for any number, including negative ones
    const auto ranks = static_cast<std::size_t>(ring.size);
    const auto at = static_cast<std::size_t>((i % ring.size + ring.size) % ring.size);
    const std::size_t begin = values.size() * at / ranks;
    return values.subspan(begin, values.size() * (at + 1) / ranks - begin);
  };
  std::vector<std::int64_t> received(values.size() / static_cast<std::size_t>(ring.size) + 1);
  for (int step = 0; step + 1 < ring.size; ++step) {
    const std::span<std::int64_t> sum = share(ring.rank - step - 1);
    const std::span<std::int64_t> theirs = std::span(received).first(sum.size());
    ring.pass_on(share(ring.rank - step), theirs);
    check_mpi(MPI_Reduce_local(theirs.data(), sum.data(), static_cast<int>(sum.size()), MPI_INT64_T, op), "all_reduce");
  }
  for (int step = 0; step + 1 < ring.size; ++step) {
    ring.pass_on(share(ring.rank + 1 - step), share(ring.rank - step));
  }
}

}  // namespace lora_dist

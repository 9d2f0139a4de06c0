// Large sums over the ranks of an MPI communicator, along a ring.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <span>

namespace lora_dist {

/// values = those of all ranks, reduced by `op`, the same on every rank. Collective; messages on `tag`, of values.size() / ranks
/// values each, which must be fewer than 2^31. Buffers one message in addition to the values.
///
/// Each rank sends 2 (n-1)/n of the values, as MPI's own algorithms do. Sends are posted before receives. Open MPI's collectives
/// post receives first: a receive that matches an announced message is answered at once, the other rank starts sending, and this
/// rank's own announcement is answered only after that data, because a pair of ranks has one TCP connection. The two directions
/// of a link are then used in turn, which takes twice as long.
void ring_all_reduce(std::span<std::int64_t> values, MPI_Op op, MPI_Comm comm, int tag);

}  // namespace lora_dist

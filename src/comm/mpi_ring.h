// Large sums over the ranks of an MPI communicator, along a ring.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <span>

namespace lora_dist {

/// values = those of all ranks, reduced by `op`, the same on every rank. Collective; messages on `tag`, of values.size() / ranks
/// values each, which must be below 2^31. One of them is held beside the values.
///
/// Each rank sends 2 (n-1)/n of the values, as MPI's own algorithms do. Sends are posted before receives. Open MPI's collectives
/// do it the other way round: a receive that finds the other rank's message there is answered at once, the other rank begins to
/// send, and what this rank says next (that it has a message too) is answered only behind all of that data, because a pair of
/// ranks has one TCP connection. Then the two directions of a link are used one after the other, and everything takes twice as
/// long.
void ring_all_reduce(std::span<std::int64_t> values, MPI_Op op, MPI_Comm comm, int tag);

}  // namespace lora_dist

// Communicator over MPI.
#pragma once

#include <memory>

#include "src/comm/communicator.h"

namespace lora_dist {

/// Over MPI_COMM_WORLD. MPI must be started (comm/process.h).
std::unique_ptr<Communicator> make_mpi_world();

/// A group of this rank alone that needs no MPI: collectives copy or do nothing. For tests and one-rank tools.
std::unique_ptr<Communicator> make_single_rank();

}  // namespace lora_dist

// Communicator over MPI.
#pragma once

#include <cstddef>
#include <memory>

#include "src/comm/communicator.h"

namespace lora_dist {

/// The most bytes that one MPI call is given; larger collectives go in pieces (MPI counts are 32-bit).
inline constexpr std::size_t kLargestMessage = std::size_t{1} << 30;

/// Integers are reduced along a ring where each rank's share of them has so many bytes, or more: then its many steps take little
/// beside their bytes. Fewer are left to MPI's own choice.
inline constexpr std::size_t kRingShare = std::size_t{1} << 18U;

/// Over MPI_COMM_WORLD. MPI must be started (comm/process.h). Collective. Tests choose a small `largest_message`.
std::unique_ptr<Communicator> make_mpi_world(std::size_t largest_message = kLargestMessage);

}  // namespace lora_dist

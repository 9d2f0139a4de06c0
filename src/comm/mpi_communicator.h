// Communicator over MPI.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>

#include "src/comm/communicator.h"

namespace lora_dist {

/// The most bytes that one MPI call is given; larger collectives go in pieces (MPI counts are 32-bit).
inline constexpr std::size_t kLargestMessage = std::size_t{1} << 30;

/// Whether integers are reduced along a ring (mpi_ring.h): where each rank's share of them has so many bytes, on few ranks, its
/// many steps take little beside their bytes. The rest is left to MPI's own choice.
constexpr bool sums_along_ring(std::size_t bytes, int ranks, std::size_t largest_message = kLargestMessage) {
  constexpr std::size_t kLeastShare = std::size_t{1} << 18U;
  constexpr int kMostRanks = 16;
  return ranks <= kMostRanks && bytes >= static_cast<std::size_t>(ranks) * std::min(kLeastShare, largest_message);
}

/// Over MPI_COMM_WORLD. MPI must be started (comm/process.h). Collective. Tests choose a small `largest_message`.
std::unique_ptr<Communicator> make_mpi_world(std::size_t largest_message = kLargestMessage);

}  // namespace lora_dist

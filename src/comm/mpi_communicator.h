// Communicator over MPI.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>

#include "src/comm/communicator.h"

namespace lora_dist {

/// The most bytes of one MPI call; larger collectives are split (MPI counts are 32-bit).
inline constexpr std::size_t kLargestMessage = std::size_t{1} << 30;

/// True if integers are reduced along a ring (mpi_ring.h): on few ranks with large shares, where latency is small compared with
/// transfer time. Otherwise MPI chooses the algorithm.
constexpr bool sums_along_ring(std::size_t bytes, int ranks, std::size_t largest_message = kLargestMessage) {
  constexpr std::size_t kLeastShare = std::size_t{1} << 18U;
  constexpr int kMostRanks = 16;
  return ranks <= kMostRanks && bytes >= static_cast<std::size_t>(ranks) * std::min(kLeastShare, largest_message);
}

/// The communicator over MPI_COMM_WORLD. MPI must be started (comm/process.h). Collective. Tests choose a small
/// `largest_message`.
std::unique_ptr<Communicator> make_mpi_world(std::size_t largest_message = kLargestMessage);

}  // namespace lora_dist

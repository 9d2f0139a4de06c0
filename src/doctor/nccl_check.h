// Whether NCCL brings bytes from every GPU to every other.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/comm/communicator.h"
#include "src/core/choices.h"
#include "src/doctor/finding.h"

namespace lora_dist {

struct PairFailure {
  int one = 0;
  int other = 0;
  std::string reason;
};

struct NcclFacts {
  bool devices = false;  // every rank has one that works
  bool own = false;      // and of its own
  int ranks = 1;
  std::optional<CommunicatorKind> communicator;  // parallel.communicator
  std::string version;
  std::string missing;  // why the first rank without NCCL has none
  int pairs = 0;        // that exchanged
  std::vector<PairFailure> failures;
};

/// Pairs that exchange side by side, round after round, so that each pair of `ranks` meets once: n - 1 rounds for an even number.
/// Above `most` ranks, those whose numbers differ by a power of two.
using PairRound = std::vector<std::pair<int, int>>;
std::vector<PairRound> pair_rounds(int ranks, int most);

/// Collective; rank 0's facts are of all. `works`: this rank has a device, which is the current one. Where a pair does not answer
/// for a minute, it says so and ends the job with exit code 5: NCCL waits for ever.
NcclFacts look_at_nccl(Communicator& world, bool works, std::optional<CommunicatorKind> communicator);

std::vector<Finding> judge_nccl(const NcclFacts& facts);

}  // namespace lora_dist

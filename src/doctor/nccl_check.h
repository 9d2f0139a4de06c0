// Checks NCCL between every pair of GPUs.
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
  bool devices = false;  // every rank has a working device
  bool own = false;      // no device is shared
  int ranks = 1;
  std::optional<CommunicatorKind> communicator;  // parallel.communicator
  std::string version;
  std::string missing;  // why the first rank without NCCL lacks it
  int pairs = 0;        // pairs that communicated
  std::vector<PairFailure> failures;
};

/// Rounds of concurrent pairs such that each pair of `ranks` occurs once: n - 1 rounds for an even number. Above `most` ranks,
/// only pairs whose numbers differ by a power of two.
using PairRound = std::vector<std::pair<int, int>>;
std::vector<PairRound> pair_rounds(int ranks, int most);

/// Collective; rank 0's facts cover all ranks. `works`: this rank has a current device. If a pair does not finish within a
/// minute, it reports that and ends the job with exit code 5, since NCCL would wait for ever.
NcclFacts look_at_nccl(Communicator& world, bool works, std::optional<CommunicatorKind> communicator);

std::vector<Finding> judge_nccl(const NcclFacts& facts);

}  // namespace lora_dist

// The merged findings of all ranks, and the resulting exit code.
#pragma once

#include <string>
#include <vector>

#include "src/comm/communicator.h"
#include "src/core/error.h"
#include "src/doctor/finding.h"

namespace lora_dist {

struct SharedFinding {
  Finding finding;
  std::vector<int> ranks;  // with this finding, ascending
};

struct Diagnosis {
  std::vector<std::string> hosts;  // of each rank
  std::vector<SharedFinding> lines;
};

/// Merges findings, ordered by check, then by lowest rank. `all`: the findings of each rank.
std::vector<SharedFinding> put_together(const std::vector<std::vector<Finding>>& all);

/// Collective; the same on every rank. `host`: this rank's.
Diagnosis gather_findings(Communicator& world, const std::string& host, const std::vector<Finding>& mine);

/// done unless a check is broken: communication for MPI, NCCL or a GPU, else usage.
ExitCode exit_code_of(const Diagnosis& diagnosis);

/// The table: verdict, check, finding, then the fix; names ranks unless all agree.
std::string diagnosis_text(const Diagnosis& diagnosis);
std::string diagnosis_json(const Diagnosis& diagnosis);

}  // namespace lora_dist

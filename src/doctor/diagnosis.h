// Findings of all ranks: equal ones together, and what they mean for the job.
#pragma once

#include <string>
#include <vector>

#include "src/comm/communicator.h"
#include "src/core/error.h"
#include "src/doctor/finding.h"

namespace lora_dist {

struct SharedFinding {
  Finding finding;
  std::vector<int> ranks;  // that found it, ascending
};

struct Diagnosis {
  std::vector<std::string> hosts;  // of each rank
  std::vector<SharedFinding> lines;
};

/// In the order of the checks, those of one check by their lowest rank. `all`: the findings of each rank.
std::vector<SharedFinding> put_together(const std::vector<std::vector<Finding>>& all);

/// Collective; the same on every rank. `host`: this rank's.
Diagnosis gather_findings(Communicator& world, const std::string& host, const std::vector<Finding>& mine);

/// done unless something is broken: communication where MPI, NCCL or a GPU is, else usage.
ExitCode exit_code_of(const Diagnosis& diagnosis);

/// The table: verdict, check, what; the fix below; ranks named where not all agree.
std::string diagnosis_text(const Diagnosis& diagnosis);
std::string diagnosis_json(const Diagnosis& diagnosis);

}  // namespace lora_dist

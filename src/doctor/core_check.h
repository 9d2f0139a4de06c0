// Checks that ranks and threads fit the cores, and how ranks are bound.
#pragma once

#include <cstdint>
#include <vector>

#include "src/comm/process.h"
#include "src/doctor/finding.h"

namespace lora_dist {

struct CoreFacts {
  int ranks = 1;                  // on this machine
  std::int64_t own = 1;           // cores that this rank may run on
  std::int64_t together = 1;      // cores that this machine's ranks together may use
  std::int64_t of_job = 1;        // the job's cores on this machine: the batch system's allocation, else all
  int threads = 1;                // per rank
  bool threads_were_set = false;  // OMP_NUM_THREADS is set
};

CoreFacts look_at_cores(const ProcessInfo& process);

std::vector<Finding> judge_cores(const CoreFacts& facts);

}  // namespace lora_dist

// Whether ranks and threads fit the cores, and how ranks are bound to them.
#pragma once

#include <cstdint>
#include <vector>

#include "src/comm/process.h"
#include "src/doctor/finding.h"

namespace lora_dist {

struct CoreFacts {
  int ranks = 1;                  // of this machine
  std::int64_t own = 1;           // cores that this rank may run on
  std::int64_t together = 1;      // that the ranks of this machine may run on
  std::int64_t of_job = 1;        // that the job has here: those of the batch system's share, else the machine's
  int threads = 1;                // of a rank
  bool threads_were_set = false;  // by OMP_NUM_THREADS
};

CoreFacts look_at_cores(const ProcessInfo& process);

std::vector<Finding> judge_cores(const CoreFacts& facts);

}  // namespace lora_dist

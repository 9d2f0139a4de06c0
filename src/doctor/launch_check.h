// Checks that the launcher and MPI agree on the job.
#pragma once

#include <string>
#include <vector>

#include "src/comm/communicator.h"
#include "src/comm/process.h"
#include "src/doctor/finding.h"

namespace lora_dist {

struct LaunchFacts {
  std::string mpi;           // "Open MPI 4.1.4"
  std::string launcher;      // "mpirun", "srun" or "" for none
  bool pmix = false;         // the launcher offers PMIx
  std::int64_t started = 0;  // number of processes by the launcher's variables; 0: unknown
  int ranks = 1;             // ranks by MPI
  int machines = 1;
  bool exchanged = true;  // the all-reduce gave the right result
};

/// Collective.
LaunchFacts look_at_launch(Communicator& world);

std::vector<Finding> judge_launch(const LaunchFacts& facts);

}  // namespace lora_dist

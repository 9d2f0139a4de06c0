// Whether the launcher and MPI agree on what the job is.
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
  std::int64_t started = 0;  // processes that the launcher says it started; 0: it says nothing
  int ranks = 1;             // that MPI sees
  int machines = 1;
  bool exchanged = true;  // what ranks sent each other arrived as it was sent
};

/// Collective.
LaunchFacts look_at_launch(Communicator& world);

std::vector<Finding> judge_launch(const LaunchFacts& facts);

}  // namespace lora_dist

// Checks that the job has the resources requested from SLURM.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/doctor/finding.h"

namespace lora_dist {

/// Numbers are 0 if SLURM does not set them.
struct SlurmFacts {
  std::string job;  // job id; empty: not a SLURM job
  std::int64_t nodes = 0;
  std::int64_t tasks = 0;  // of the job
  std::int64_t cpus_per_task = 0;
  std::int64_t gpus_on_node = 0;
  std::int64_t restarts = 0;
  std::int64_t ends = 0;  // seconds since 1970
  std::int64_t now = 0;
  int ranks = 1;
  std::int64_t cores = 1;      // cores of this rank
  int devices = 0;             // visible devices of this rank
  bool devices_count = false;  // the build and parallel.backend allow GPUs
};

SlurmFacts look_at_slurm(int ranks, std::int64_t cores, int devices, bool devices_count);

std::vector<Finding> judge_slurm(const SlurmFacts& facts);

}  // namespace lora_dist

// Whether the job is what was asked of SLURM.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/doctor/finding.h"

namespace lora_dist {

/// Numbers are 0 where SLURM says nothing.
struct SlurmFacts {
  std::string job;  // its id; empty: this is no job
  std::int64_t nodes = 0;
  std::int64_t tasks = 0;  // of the job
  std::int64_t cpus_per_task = 0;
  std::int64_t gpus_on_node = 0;
  std::int64_t restarts = 0;
  std::int64_t ends = 0;  // seconds since 1970
  std::int64_t now = 0;
  int ranks = 1;
  std::int64_t cores = 1;      // that this rank may run on
  int devices = 0;             // that this rank may use
  bool devices_count = false;  // the program can use GPUs and may
};

SlurmFacts look_at_slurm(int ranks, std::int64_t cores, int devices, bool devices_count);

std::vector<Finding> judge_slurm(const SlurmFacts& facts);

}  // namespace lora_dist

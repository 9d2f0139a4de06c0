// Checks the limits of a process.
#pragma once

#include <cstdint>
#include <vector>

#include "src/comm/process.h"
#include "src/doctor/finding.h"

namespace lora_dist {

inline constexpr std::int64_t kUnlimited = -1;

struct LimitFacts {
  std::int64_t locked_bytes = kUnlimited;   // memlock
  std::int64_t open_files = kUnlimited;     // nofile
  std::int64_t address_space = kUnlimited;  // bytes
  std::int64_t shared_free = 0;             // bytes of /dev/shm
  int ranks = 1;                            // of this machine
  int devices = 0;                          // visible devices of this rank
  bool infiniband = false;                  // an InfiniBand adapter is present
};

LimitFacts look_at_limits(const ProcessInfo& process, int devices);

/// The bytes of /dev/shm that a machine's ranks need, by assumption: 16 MiB per rank, 64 MiB per GPU, and 32 MiB.
std::int64_t shared_memory_wanted(int ranks, int devices);

std::vector<Finding> judge_limits(const LimitFacts& facts);

}  // namespace lora_dist

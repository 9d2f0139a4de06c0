// Reads getrlimit and the size of /dev/shm.
#include "src/doctor/limit_check.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <filesystem>

#include "src/core/memory_report.h"
#include "src/doctor/file_system.h"

namespace lora_dist {

namespace {

constexpr const char* kCheck = "limits";
constexpr std::int64_t kMiB = std::int64_t{1} << 20;

std::int64_t limit_of(decltype(RLIMIT_AS) resource) {
  rlimit limit{};
  const bool known = getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  return known ? static_cast<std::int64_t>(limit.rlim_cur) : kUnlimited;
}

bool below(std::int64_t limit, std::int64_t wanted) { return limit != kUnlimited && limit < wanted; }

}  // namespace

LimitFacts look_at_limits(const ProcessInfo& process, int devices) {
  LimitFacts facts;
  facts.locked_bytes = limit_of(RLIMIT_MEMLOCK);
  facts.open_files = limit_of(RLIMIT_NOFILE);
  facts.address_space = limit_of(RLIMIT_AS);
  facts.shared_free = free_space_of("/dev/shm").bytes;
  facts.ranks = process.node_ranks;
  facts.devices = devices;
  std::error_code ignored;
  const std::filesystem::path adapters = "/sys/class/infiniband";
  facts.infiniband = std::filesystem::is_directory(adapters, ignored) && !std::filesystem::is_empty(adapters, ignored);
  return facts;
}

std::int64_t shared_memory_wanted(int ranks, int devices) {
  return ranks == 1 && devices == 0 ? 0 : (32 + 16 * std::int64_t{ranks} + 64 * std::int64_t{devices}) * kMiB;
}

std::vector<Finding> judge_limits(const LimitFacts& facts) {
  std::vector<Finding> findings;
  if (facts.infiniband && below(facts.locked_bytes, std::int64_t{1} << 40)) {
    findings.push_back(warning(kCheck,
                               fmt::format("memlock is {}: InfiniBand needs locked memory", human_bytes(facts.locked_bytes)),
                               "ulimit -l unlimited; in SLURM the administrator sets LimitMEMLOCK=infinity for slurmd"));
  }
  // Open files: sockets to other ranks, model and shard files, libraries.
  if (const std::int64_t wanted = 512 + 8 * std::int64_t{facts.ranks}; below(facts.open_files, wanted)) {
    findings.push_back(warning(kCheck, fmt::format("nofile is {}: at least {} open files are wanted", facts.open_files, wanted),
                               fmt::format("ulimit -n {}", wanted)));
  }
  if (facts.address_space != kUnlimited) {
    findings.push_back(
        warning(kCheck,
                fmt::format("the address space is limited to {}: model files are mapped whole, and CUDA reserves more",
                            human_bytes(facts.address_space)),
                "ulimit -v unlimited; limit memory with the batch system (--mem) instead"));
  }
  if (const std::int64_t wanted = shared_memory_wanted(facts.ranks, facts.devices); facts.shared_free < wanted) {
    findings.push_back(warning(kCheck,
                               fmt::format("/dev/shm has {} free; ranks of one machine want about {}",
                                           human_bytes(facts.shared_free), human_bytes(wanted)),
                               "docker run --shm-size=1g (or --ipc=host); remove old files from /dev/shm"));
  }
  if (findings.empty()) {
    findings.push_back(ok(kCheck, "open files, address space, locked and shared memory suffice"));
  }
  return findings;
}

}  // namespace lora_dist

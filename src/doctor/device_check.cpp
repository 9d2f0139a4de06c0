// Asks the driver and the device.
#include "src/doctor/device_check.h"

#include <fmt/format.h>

#include <filesystem>

#include "src/core/memory_report.h"

namespace lora_dist {

namespace {

constexpr const char* kCheck = "GPU";

Finding judge_absent(const DeviceFacts& facts) {
  if (facts.backend == Backend::cuda) {
    return broken(kCheck, facts.problem, "parallel.backend = \"cpu\" trains on CPUs", ExitCode::communication);
  }
  if (facts.hardware) {
    return warning(kCheck, fmt::format("there is an NVIDIA device, and CPUs will compute: {}", facts.problem),
                   "parallel.backend = \"cpu\" says that this is meant");
  }
  return ok(kCheck, "none: CPUs compute");
}

Finding judge_unusable(const DeviceFacts& facts) {
  return broken(kCheck, facts.problem, "parallel.backend = \"cpu\" leaves the GPU alone", ExitCode::communication);
}

std::string described(const DeviceFacts& facts) {
  const DeviceInfo& info = *facts.info;
  return fmt::format("{} x {} ({}.{}), {} each, CUDA {}{}", facts.count, info.name, info.capability / 10, info.capability % 10,
                     human_bytes(info.total_bytes), facts.cuda, info.has_bf16() ? "" : "; no bf16: fp16 with a loss scale");
}

}  // namespace

DeviceFacts look_at_device(const ProcessInfo& process, std::optional<Backend> backend) {
  DeviceFacts facts;
  facts.backend = backend;
  facts.cuda = cuda_version();
  std::error_code ignored;
  facts.hardware = std::filesystem::exists("/proc/driver/nvidia/version", ignored);
  facts.ranks = process.node_ranks;
  facts.count = backend == Backend::cpu ? 0 : device_count();
  if (backend == Backend::cpu) {
    return facts;
  }
  if (facts.count == 0) {
    facts.problem = why_no_device();
    return facts;
  }
  try {
    facts.info = use_device(process.node_rank % facts.count);
  } catch (const DeviceError& error) {
    facts.problem = error.what();
  }
  return facts;
}

std::vector<Finding> judge_device(const DeviceFacts& facts) {
  if (facts.backend == Backend::cpu) {
    return {ok(kCheck, "left alone: parallel.backend = \"cpu\"")};
  }
  if (facts.count == 0) {
    return {judge_absent(facts)};
  }
  if (!facts.info) {
    return {judge_unusable(facts)};
  }
  // This process's own context uses well below a tenth.
  if (facts.info->free_bytes < facts.info->total_bytes - facts.info->total_bytes / 10) {
    return {warning(
        kCheck,
        fmt::format("{}; of GPU {} only {} is free", described(facts), facts.info->index, human_bytes(facts.info->free_bytes)),
        "nvidia-smi shows who holds the rest; ask the batch system for whole GPUs")};
  }
  if (facts.ranks > facts.count) {
    return {
        warning(kCheck, fmt::format("{}; {} ranks of a machine share them", described(facts), facts.ranks),
                fmt::format("start {} on each machine", facts.count == 1 ? "one rank" : fmt::format("{} ranks", facts.count)))};
  }
  return {ok(kCheck, described(facts))};
}

}  // namespace lora_dist

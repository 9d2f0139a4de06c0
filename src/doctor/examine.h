// Runs all checks in order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/comm/communicator.h"
#include "src/comm/process.h"
#include "src/core/choices.h"
#include "src/doctor/diagnosis.h"
#include "src/doctor/input_check.h"

namespace lora_dist {

/// The settings that the checks use, from a configuration or defaults.
struct Examined {
  std::filesystem::path folder = ".";  // output.dir
  std::optional<Backend> backend;
  std::optional<CommunicatorKind> communicator;
  int keep = 3;
  std::int64_t run_bytes = 0;  // bytes that a run writes to the folder; 0: unknown
  std::vector<NamedInput> inputs;
};

/// Collective; the same on every rank.
Diagnosis examine(const Examined& examined, Communicator& world, const ProcessInfo& process);

}  // namespace lora_dist

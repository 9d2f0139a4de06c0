// All checks, in order.
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

/// What the checks depend on, of a configuration or in place of one.
struct Examined {
  std::filesystem::path folder = ".";  // output.dir
  std::optional<Backend> backend;
  std::optional<CommunicatorKind> communicator;
  int keep = 3;
  std::int64_t run_bytes = 0;  // that a run writes to the folder; 0: not known
  std::vector<NamedInput> inputs;
};

/// Collective; the same on every rank.
Diagnosis examine(const Examined& examined, Communicator& world, const ProcessInfo& process);

}  // namespace lora_dist

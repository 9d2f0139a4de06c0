// A training run in which something goes wrong at a named point.
#pragma once

#include <string>

#include "tests/program/fixtures.h"

namespace lora_dist::program {

/// `fault`: LORA_DIST_FAULT, as tests/faults/fault_points.cpp reads it.
inline Launch faulty(const Settings& settings, int ranks, const std::string& fault) {
  Launch launch = launch_of(settings, ranks);
  launch.environment["LORA_DIST_FAULT"] = fault;
  return launch;
}

}  // namespace lora_dist::program

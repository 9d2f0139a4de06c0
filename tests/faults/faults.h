// The faults of a test: LORA_DIST_FAULT, "KIND,POINT,RANK[,PASSING[,TIMES[,SECONDS]]]", separated by semicolons. The first fault
// creates the file LORA_DIST_FAULT_TOLD.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace lora_dist {

struct Fault {
  std::string kind;
  std::string point;
  int rank = 0;
  int passing = 1;
  int times = 1;  // 0: always from then on
  double seconds = 0.0;
  int passed = 0;
};

/// The fault of this process that is due now, among those whose point `passes` accepts. Callable from any thread.
std::optional<Fault> fault_that_befalls(const std::function<bool(const Fault&)>& passes);

/// The kinds of tests/faults/faulty_disk.cpp, whose points are files.
bool is_of_disk(const Fault& fault);

}  // namespace lora_dist

// The faults that a test asks for: LORA_DIST_FAULT, "KIND,POINT,RANK[,PASSING[,TIMES[,SECONDS]]]", several between semicolons.
// The file LORA_DIST_FAULT_TOLD is made at the moment of the first.
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
  int times = 1;  // 0: from then on always
  double seconds = 0.0;
  int passed = 0;
};

/// The fault of this process that befalls now: of those that `passes` says have their point here, one that was passed often
/// enough, and not too often. From any thread.
std::optional<Fault> fault_that_befalls(const std::function<bool(const Fault&)>& passes);

/// Those of tests/faults/faulty_disk.cpp, whose points are files.
bool is_of_disk(const Fault& fault);

}  // namespace lora_dist

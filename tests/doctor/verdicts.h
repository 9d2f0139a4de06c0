// Findings as lines, for comparison.
#pragma once

#include <string>
#include <vector>

#include "src/doctor/finding.h"

namespace lora_dist {

/// "warning: what | fix".
inline std::vector<std::string> verdicts(const std::vector<Finding>& findings) {
  std::vector<std::string> lines;
  for (const Finding& finding : findings) {
    lines.push_back(std::string(name_of(finding.verdict)) + ": " + finding.what +
                    (finding.fix.empty() ? "" : " | " + finding.fix));
  }
  return lines;
}

}  // namespace lora_dist

// Calls access(2) for each file.
#include "src/doctor/input_check.h"

#include <fmt/format.h>
#include <unistd.h>

namespace lora_dist {

InputFacts look_at_inputs(const std::vector<NamedInput>& inputs) {
  InputFacts facts;
  facts.named = static_cast<int>(inputs.size());
  for (const NamedInput& input : inputs) {
    if (::access(input.path.c_str(), R_OK) != 0) {
      facts.missing.push_back(input);
    }
  }
  return facts;
}

std::vector<Finding> judge_inputs(const InputFacts& facts) {
  constexpr const char* kCheck = "inputs";
  std::vector<Finding> findings;
  for (const NamedInput& input : facts.missing) {
    findings.push_back(
        broken(kCheck, fmt::format("{} {} is not there, or may not be read", input.key, input.path),
               "correct the path (relative ones start where the program does), or put it where every machine sees it"));
  }
  if (findings.empty()) {
    findings.push_back(ok(kCheck, facts.named == 0 ? "no configuration was given (--cfg FILE)"
                                                   : fmt::format("{} files and folders can be read", facts.named)));
  }
  return findings;
}

}  // namespace lora_dist

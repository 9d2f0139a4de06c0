// Formats the diagnosis as a table and as JSON.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "src/comm/watched.h"
#include "src/doctor/diagnosis.h"

namespace lora_dist {

namespace {

using nlohmann::ordered_json;

/// "rank 3 (n2): "; empty for a finding of all ranks or of the job.
std::string ranks_prefix(const Diagnosis& diagnosis, const SharedFinding& line) {
  if (line.finding.of_job || line.ranks.size() == diagnosis.hosts.size()) {
    return "";
  }
  std::set<std::string> hosts;
  for (const int rank : line.ranks) {
    hosts.insert(diagnosis.hosts[static_cast<std::size_t>(rank)]);
  }
  return fmt::format("{} ({}): ", named_ranks(std::vector<std::int64_t>(line.ranks.begin(), line.ranks.end())),
                     hosts.size() <= 4 ? fmt::format("{}", fmt::join(hosts, ", ")) : fmt::format("{} machines", hosts.size()));
}

std::ptrdiff_t count(const Diagnosis& diagnosis, Verdict verdict) {
  return std::count_if(diagnosis.lines.begin(), diagnosis.lines.end(),
                       [&](const SharedFinding& line) { return line.finding.verdict == verdict; });
}

std::string summary(const Diagnosis& diagnosis) {
  const std::ptrdiff_t wrong = count(diagnosis, Verdict::broken);
  const std::ptrdiff_t warnings = count(diagnosis, Verdict::warning);
  return fmt::format("{}; {} warning{}", wrong == 0 ? "Nothing is broken" : fmt::format("{} broken", wrong), warnings,
                     warnings == 1 ? "" : "s");
}

}  // namespace

std::string diagnosis_text(const Diagnosis& diagnosis) {
  std::string text;
  for (const SharedFinding& line : diagnosis.lines) {
    const Finding& finding = line.finding;
    text +=
        fmt::format("{:<9}{:<13}{}{}\n", name_of(finding.verdict), finding.check, ranks_prefix(diagnosis, line), finding.what);
    if (!finding.fix.empty()) {
      text += fmt::format("{:22}fix: {}\n", "", finding.fix);
    }
  }
  return text + "\n" + summary(diagnosis) + "\n";
}

std::string diagnosis_json(const Diagnosis& diagnosis) {
  ordered_json findings = ordered_json::array();
  for (const SharedFinding& line : diagnosis.lines) {
    findings.push_back({{"check", line.finding.check},
                        {"verdict", std::string(name_of(line.finding.verdict))},
                        {"what", line.finding.what},
                        {"fix", line.finding.fix},
                        {"ranks", line.finding.of_job ? ordered_json(nullptr) : ordered_json(line.ranks)}});
  }
  const ordered_json all = {{"exit_code", static_cast<int>(exit_code_of(diagnosis))},
                            {"broken", count(diagnosis, Verdict::broken)},
                            {"warnings", count(diagnosis, Verdict::warning)},
                            {"hosts", diagnosis.hosts},
                            {"findings", findings}};
  return all.dump(2) + "\n";
}

}  // namespace lora_dist

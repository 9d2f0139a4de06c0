// All-gathers findings as JSON, and merges equal ones.
#include "src/doctor/diagnosis.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace lora_dist {

namespace {

using nlohmann::json;

json to_json(const Finding& finding) {
  return {finding.check,  static_cast<int>(finding.verdict), finding.what, finding.fix,
          finding.of_job, static_cast<int>(finding.code)};
}

Finding from_json(const json& row) {
  return {row[0], static_cast<Verdict>(row[1].get<int>()), row[2], row[3], row[4], static_cast<ExitCode>(row[5].get<int>())};
}

bool same(const Finding& one, const Finding& other) {
  return one.check == other.check && one.verdict == other.verdict && one.what == other.what && one.fix == other.fix;
}

void add(std::vector<SharedFinding>& lines, const Finding& finding, int rank) {
  const auto found =
      std::find_if(lines.begin(), lines.end(), [&](const SharedFinding& line) { return same(line.finding, finding); });
  if (found != lines.end()) {
    found->ranks.push_back(rank);
    return;
  }
  // The position after the last line of the same check; the end for a new check.
  const auto last =
      std::find_if(lines.rbegin(), lines.rend(), [&](const SharedFinding& line) { return line.finding.check == finding.check; });
  lines.insert(last == lines.rend() ? lines.end() : last.base(), SharedFinding{finding, {rank}});
}

}  // namespace

std::vector<SharedFinding> put_together(const std::vector<std::vector<Finding>>& all) {
  std::vector<SharedFinding> lines;
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    for (const Finding& finding : all[rank]) {
      add(lines, finding, static_cast<int>(rank));
    }
  }
  return lines;
}

Diagnosis gather_findings(Communicator& world, const std::string& host, const std::vector<Finding>& mine) {
  json rows = json::array();
  for (const Finding& finding : mine) {
    rows.push_back(to_json(finding));
  }
  std::vector<std::vector<Finding>> all;
  // Library messages may be invalid UTF-8.
  for (const std::string& text : all_gather_strings(world, rows.dump(-1, ' ', false, json::error_handler_t::replace))) {
    std::vector<Finding>& findings = all.emplace_back();
    for (const json& row : json::parse(text)) {
      findings.push_back(from_json(row));
    }
  }
  return {all_gather_strings(world, host), put_together(all)};
}

ExitCode exit_code_of(const Diagnosis& diagnosis) {
  ExitCode code = ExitCode::done;
  for (const SharedFinding& line : diagnosis.lines) {
    if (line.finding.verdict == Verdict::broken) {
      if (line.finding.code == ExitCode::communication) {
        return ExitCode::communication;
      }
      code = ExitCode::usage;
    }
  }
  return code;
}

}  // namespace lora_dist

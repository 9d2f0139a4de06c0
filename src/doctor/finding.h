// The result of a check: a line of the doctor's table.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "src/core/error.h"

namespace lora_dist {

enum class Verdict : std::uint8_t { ok, warning, broken };

constexpr std::string_view name_of(Verdict verdict) {
  constexpr std::array<std::string_view, 3> names = {"ok", "warning", "broken"};
  return names[static_cast<std::size_t>(verdict)];
}

struct Finding {
  std::string check;  // one or two words
  Verdict verdict = Verdict::ok;
  std::string what;                 // without numbers that differ between ranks unless relevant: equal findings are merged
  std::string fix;                  // what to do; empty if ok
  bool of_job = false;              // a finding about the job, reported by one rank
  ExitCode code = ExitCode::usage;  // the exit code if broken
};

inline Finding ok(std::string check, std::string what) { return {std::move(check), Verdict::ok, std::move(what), "", false, {}}; }

inline Finding warning(std::string check, std::string what, std::string fix) {
  return {std::move(check), Verdict::warning, std::move(what), std::move(fix), false, {}};
}

/// `code`: communication for MPI, NCCL or a GPU, else usage.
inline Finding broken(std::string check, std::string what, std::string fix, ExitCode code = ExitCode::usage) {
  return {std::move(check), Verdict::broken, std::move(what), std::move(fix), false, code};
}

inline Finding of_job(Finding finding) {
  finding.of_job = true;
  return finding;
}

}  // namespace lora_dist

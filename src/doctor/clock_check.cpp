// All ranks read their clocks after a barrier, several times; each rank's reading nearest to rank 0's counts.
#include "src/doctor/clock_check.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdint>

namespace lora_dist {

namespace {

constexpr int kReadings = 5;
constexpr double kMost = 1.0;  // seconds, compared with wall time margins of minutes

}  // namespace

ClockFacts look_at_clocks(Communicator& world) {
  const auto ranks = static_cast<std::size_t>(world.size());
  ClockFacts facts;
  facts.ahead.assign(ranks, INFINITY);
  std::vector<std::int64_t> all(ranks);
  for (int reading = 0; reading < kReadings; ++reading) {
    world.barrier();
    const std::int64_t now =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    world.all_gather(std::as_bytes(std::span(&now, 1)), std::as_writable_bytes(std::span(all)), WireKind::control);
    for (std::size_t rank = 0; rank < ranks; ++rank) {
      const double ahead = static_cast<double>(all[rank] - all[0]) * 1e-6;
      facts.ahead[rank] = std::abs(ahead) < std::abs(facts.ahead[rank]) ? ahead : facts.ahead[rank];
    }
  }
  return facts;
}

std::vector<Finding> judge_clocks(const ClockFacts& facts) {
  constexpr const char* kCheck = "clocks";
  std::vector<Finding> findings;
  for (std::size_t rank = 0; rank < facts.ahead.size(); ++rank) {
    if (std::abs(facts.ahead[rank]) > kMost) {
      findings.push_back(of_job(warning(kCheck,
                                        fmt::format("rank {}'s is {:.1f} s {} rank 0's", rank, std::abs(facts.ahead[rank]),
                                                    facts.ahead[rank] > 0 ? "ahead of" : "behind"),
                                        "have the administrator check NTP there; until then trust no times across machines")));
    }
  }
  if (findings.empty()) {
    findings.push_back(of_job(ok(kCheck, facts.ahead.size() == 1 ? "one rank, one clock" : "agree within a second")));
  }
  return findings;
}

}  // namespace lora_dist

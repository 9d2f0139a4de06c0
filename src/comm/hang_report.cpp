// Ranks with the same activity share a sentence; ranks outside the collective that the others wait in come first, as the likely
// cause.
#include "src/comm/hang_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "src/comm/watched.h"

namespace lora_dist {

namespace {

bool waits(const SeenRank& seen) {
  return seen.heartbeat && !seen.silent && seen.heartbeat->at.collective.number > 0 && seen.heartbeat->at.collective.ended == 0.0;
}

std::string seconds_text(double seconds) { return fmt::format("{:.{}f} s", seconds, seconds < 10.0 ? 1 : 0); }

std::string collective_text(const CollectiveRecord& record) {
  return fmt::format("{} #{} {}", record.name, record.number, record.what);
}

std::string step_text(std::int64_t step) { return step > 0 ? fmt::format("step {}, ", step) : ""; }

/// "step 12, forward and backward, since 41 s".
std::string activity_text(const Heartbeat& heartbeat) {
  return fmt::format("{}{}, since {}", step_text(heartbeat.at.step), heartbeat.at.what, seconds_text(heartbeat.at.what_seconds));
}

/// "in step 12, ...", after its last collective, if any.
std::string state_text(const SeenRank& seen) {
  const CollectiveRecord& last = seen.heartbeat->at.collective;
  if (waits(seen) || (seen.silent && last.number > 0 && last.ended == 0.0)) {
    return fmt::format("{}in {}", step_text(seen.heartbeat->at.step), collective_text(last));
  }
  return activity_text(*seen.heartbeat) +
         (last.number > 0 ? fmt::format(" (its last collective: {})", collective_text(last)) : "");
}

std::string sentence_of_silent(int rank, const SeenRank& seen) {
  if (!seen.heartbeat) {
    return fmt::format("rank {} never gave a sign of life", rank);
  }
  return fmt::format(
      "rank {} on {} gives no sign of life since {} (its process is stopped, or its node is gone or overloaded); "
      "it was last at {}",
      rank, seen.heartbeat->host, seconds_text(seen.silent_seconds), state_text(seen));
}

/// Ranks that wait in one collective.
struct Waiting {
  CollectiveRecord record;
  std::vector<std::int64_t> ranks;
  double seconds = 0.0;  // the longest wait
  std::int64_t step = 0;
};

std::vector<Waiting> waiting_groups(std::span<const SeenRank> ranks) {
  std::map<std::tuple<int, std::string, std::int64_t>, Waiting> groups;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    if (!waits(ranks[rank])) {
      continue;
    }
    const Heartbeat& heartbeat = *ranks[rank].heartbeat;
    const CollectiveRecord& record = heartbeat.at.collective;
    Waiting& group = groups[{record.group, record.ranks, record.number}];
    group.record = record;
    group.step = heartbeat.at.step;
    group.ranks.push_back(static_cast<std::int64_t>(rank));
    group.seconds = std::max(group.seconds, heartbeat.written + ranks[rank].silent_seconds - record.begun);
  }
  std::vector<Waiting> all;
  for (const auto& [key, group] : groups) {
    all.push_back(group);
  }
  return all;
}

std::string sentence_of_waiting(const Waiting& group, bool among_all) {
  return fmt::format("{} {} in {}{}{} since {}", named_ranks(group.ranks), group.ranks.size() == 1 ? "waits" : "wait",
                     step_text(group.step), collective_text(group.record),
                     among_all ? "" : fmt::format(" of ranks {}", group.record.ranks), seconds_text(group.seconds));
}

}  // namespace

double idle_seconds(std::span<const SeenRank> ranks) {
  double least = 1e300;
  for (const SeenRank& seen : ranks) {
    if (seen.heartbeat) {
      least = std::min(least, seen.heartbeat->at.idle_seconds + seen.silent_seconds);
    }
  }
  return least;
}

std::string who_waits_for_whom(std::span<const SeenRank> ranks) {
  std::vector<std::string> sentences;
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    if (ranks[rank].silent || !ranks[rank].heartbeat) {
      sentences.push_back(sentence_of_silent(static_cast<int>(rank), ranks[rank]));
    }
  }
  const std::vector<Waiting> groups = waiting_groups(ranks);
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    if (ranks[rank].heartbeat && !ranks[rank].silent && !waits(ranks[rank])) {
      sentences.push_back(
          fmt::format("rank {}{} in {}", rank, groups.empty() ? " is" : " never came: it is", state_text(ranks[rank])));
    }
  }
  if (sentences.empty()) {
    sentences.emplace_back(groups.size() == 1
                               ? "all ranks are in the same collective, so what one of them sent was lost (the network, "
                                 "or the transport below MPI)"
                               : "the ranks wait in different collectives");
  }
  const std::string everybody = ranks.size() > 1 ? fmt::format("0-{}", ranks.size() - 1) : "0";
  for (const Waiting& group : groups) {
    sentences.push_back(sentence_of_waiting(group, group.record.ranks == everybody));
  }
  return fmt::format("{}", fmt::join(sentences, "; "));
}

}  // namespace lora_dist

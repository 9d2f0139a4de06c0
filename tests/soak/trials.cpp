// A child process does some hundred trials and reports each through a pipe; where it dies, the next child goes on behind the
// trial that it died in.
#include "tests/soak/trials.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

namespace lora_dist::soak {
namespace {

constexpr std::int64_t kPerProcess = 250;
constexpr long kMostKiB = 1024L << 10;  // resident

[[noreturn]] void work(std::int64_t first, std::int64_t end, unsigned seconds, const std::function<Outcome(std::int64_t)>& trial,
                       int report) {
  FILE* out = ::fdopen(report, "w");
  for (std::int64_t number = first; number < end; ++number) {
    ::alarm(seconds);
    const Outcome outcome = trial(number);
    std::fprintf(out, "%s\n",
                 nlohmann::json({number, outcome.row, outcome.column, outcome.failure})
                     .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
                     .c_str());
    std::fflush(out);
  }
  ::_exit(0);
}

void fail(Tally& tally, std::int64_t number, const std::string& what) {
  ++tally.failures;
  std::printf("FAILED: trial %lld: %s\n", static_cast<long long>(number), what.c_str());
  std::fflush(stdout);
}

/// Takes in the reports of one child. Returns the number behind the last trial that it finished.
std::int64_t take_reports(int from, std::int64_t next, Tally& tally) {
  FILE* in = ::fdopen(from, "r");
  char* line = nullptr;
  std::size_t size = 0;
  while (::getline(&line, &size, in) > 0) {
    const nlohmann::json report = nlohmann::json::parse(line);
    ++tally.rows[report[1]][report[2]];
    if (report[3] != "") {
      fail(tally, report[0], report[3]);
    }
    next = report[0].get<std::int64_t>() + 1;
  }
  std::free(line);
  std::fclose(in);
  return next;
}

}  // namespace

Tally run_trials(const Trials& trials, const std::function<Outcome(std::int64_t)>& trial,
                 const std::function<std::string(std::int64_t)>& about) {
  Tally tally;
  const std::int64_t behind = trials.first + trials.count;
  for (std::int64_t next = trials.first; next < behind;) {
    const std::int64_t end = std::min(next + kPerProcess, behind);
    std::array<int, 2> pipe{};
    if (::pipe(pipe.data()) != 0) {
      fail(tally, next, "no pipe");
      return tally;
    }
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(pipe[0]);
      work(next, end, trials.seconds, trial, pipe[1]);
    }
    ::close(pipe[1]);
    next = take_reports(pipe[0], next, tally);
    int status = 0;
    rusage usage{};
    ::wait4(child, &status, 0, &usage);
    if (next < end) {
      const std::string how =
          WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status)) : "exit code " + std::to_string(WEXITSTATUS(status));
      fail(tally, next, how + (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? " (a hang): " : ": ") + about(next));
      ++next;
    } else if (usage.ru_maxrss > kMostKiB) {
      fail(tally, next - 1, std::to_string(usage.ru_maxrss >> 10) + " MiB of memory in this trial or one before it");
    }
    std::fprintf(stderr, "%lld of %lld, %lld failures\n", static_cast<long long>(next - trials.first),
                 static_cast<long long>(trials.count), static_cast<long long>(tally.failures));
  }
  return tally;
}

int report_trials(const Trials& trials, std::uint64_t seed, const Tally& tally, const std::string& what,
                  const std::string& heading) {
  std::printf("%lld %s from number %lld on, seed %llu: %lld failures\n", static_cast<long long>(trials.count), what.c_str(),
              static_cast<long long>(trials.first), static_cast<unsigned long long>(seed),
              static_cast<long long>(tally.failures));
  print_tally(tally, heading);
  return tally.failures == 0 ? 0 : 1;
}

void print_tally(const Tally& tally, const std::string& heading) {
  std::set<std::string> columns;
  for (const auto& [row, counts] : tally.rows) {
    for (const auto& [column, count] : counts) {
      columns.insert(column);
    }
  }
  std::string head = "| " + heading + " |";
  std::string rule = "|---|";
  for (const std::string& column : columns) {
    head += " " + column + " |";
    rule += "---|";
  }
  std::printf("%s\n%s\n", head.c_str(), rule.c_str());
  for (const auto& [row, counts] : tally.rows) {
    std::printf("| %s |", row.c_str());
    for (const std::string& column : columns) {
      const auto found = counts.find(column);
      std::printf(" %lld |", found == counts.end() ? 0LL : static_cast<long long>(found->second));
    }
    std::printf("\n");
  }
}

}  // namespace lora_dist::soak

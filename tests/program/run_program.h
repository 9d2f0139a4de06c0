// Starts the program, alone or under mpirun, and captures its output and exit code.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

namespace lora_dist::program {

/// How a job ended.
struct Finished {
  int exit_code = -1;      // 128 + n when signal n ended it, as a shell says
  bool timed_out = false;  // killed by the test
  std::string out;
  std::string err;
  double seconds = 0.0;
};

/// A job that is still running.
struct RunningJob {
  pid_t launcher = 0;  // mpirun, or the program itself where there is none

  /// Processes of the program by rank; those that have ended are missing.
  std::map<int, pid_t> ranks() const;
  /// kill -9 of one rank; of the launcher where that rank is not there.
  void kill_rank(int rank) const;
};

struct Launch {
  std::vector<std::string> arguments;              // of lora_dist
  int ranks = 0;                                   // 0: without mpirun
  std::map<std::string, std::string> environment;  // added to the test's own; an empty value takes the variable away
  std::filesystem::path folder;                    // to start in; empty: where the test is
  double timeout_seconds = 120.0;
  /// `act` is called once: when standard output has shown `when`, and `delay_seconds` have gone by since.
  std::string when;
  double delay_seconds = 0.0;
  std::function<void(const RunningJob&)> act;
};

/// Runs to the end, or to the timeout, after which every process of the job is killed.
Finished run_program(const Launch& launch);

/// Fails the test unless the job ends with 0; prints the output.
Finished expect_success(const Launch& launch);

/// Fails the test unless the job ends with `exit_code`, says "lora_dist: error:" once in all, on standard error, in a message
/// that holds each of `texts`. Returns what it said.
Finished expect_error(const Launch& launch, int exit_code, const std::vector<std::string>& texts);

/// The same on one rank and on three.
void expect_error_on_1_and_3_ranks(Launch launch, int exit_code, const std::vector<std::string>& texts);

/// How often `part` stands in `text`.
int count_of(const std::string& text, const std::string& part);

}  // namespace lora_dist::program

// Many trials in processes of their own, so that a crash, a hang or a flood of memory ends one and is told.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace lora_dist::soak {

/// What one trial came to.
struct Outcome {
  std::string row;      // of the table: what was tried
  std::string column;   // how it was taken
  std::string failure;  // empty where it went as it must
};

/// How many came to what.
struct Tally {
  std::map<std::string, std::map<std::string, std::int64_t>> rows;
  std::int64_t failures = 0;
};

/// Which to do, and when one is taken for a hang.
struct Trials {
  std::int64_t first = 0;
  std::int64_t count = 0;
  unsigned seconds = 30;
};

/// Runs trial(first) to trial(first + count - 1). A failure is printed with its number as soon as it is known. `about(number)`
/// says what a trial is, for one that ends its process by a signal, hangs, or takes more than 1 GiB of memory.
Tally run_trials(const Trials& trials, const std::function<Outcome(std::int64_t)>& trial,
                 const std::function<std::string(std::int64_t)>& about);

/// Prints how many `what` ("trials") of which seed came to what. The exit code of a program that did no more.
int report_trials(const Trials& trials, std::uint64_t seed, const Tally& tally, const std::string& what,
                  const std::string& heading);

/// As a table of Markdown under `heading`, with the columns in the order given and a sum.
void print_tally(const Tally& tally, const std::string& heading);

}  // namespace lora_dist::soak

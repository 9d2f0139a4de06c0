// Parses LORA_DIST_FAULT once, and counts.
#include "tests/faults/faults.h"

#include <array>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <sstream>
#include <vector>

#include "src/comm/process.h"

namespace lora_dist {

namespace {

std::vector<std::string> split(const std::string& text, char mark) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, mark);) {
    parts.push_back(part);
  }
  return parts;
}

/// The faults of this rank.
std::vector<Fault> faults_asked_for() {
  std::vector<Fault> faults;
  const char* text = std::getenv("LORA_DIST_FAULT");
  for (const std::string& one : split(text == nullptr ? "" : text, ';')) {
    std::vector<std::string> words = split(one, ',');
    const std::array<std::string, 6> defaults = {"", "", "0", "1", "1", "0"};
    for (std::size_t i = words.size(); i < defaults.size(); ++i) {
      words.push_back(defaults[i]);
    }
    if (std::stoi(words[2]) == launcher_rank()) {
      faults.push_back({words[0], words[1], std::stoi(words[2]), std::stoi(words[3]), std::stoi(words[4]), std::stod(words[5])});
    }
  }
  return faults;
}

/// Never destroyed, since threads may use it at the end of the process.
struct Asked {
  std::mutex lock;
  std::vector<Fault> faults = faults_asked_for();
};

Asked& asked() {
  static Asked& the = *new Asked;
  return the;
}

/// Lets a test know when the fault occurred.
void tell() {
  if (const char* file = std::getenv("LORA_DIST_FAULT_TOLD"); file != nullptr && !std::ifstream(file)) {
    std::ofstream(file) << "now";
  }
}

std::optional<Fault> next_of(const std::function<bool(const Fault&)>& passes) {
  const std::lock_guard<std::mutex> hold(asked().lock);
  std::optional<Fault> now;
  for (Fault& fault : asked().faults) {
    if (!passes(fault)) {
      continue;
    }
    ++fault.passed;
    if (fault.passed >= fault.passing && (fault.times == 0 || fault.passed < fault.passing + fault.times)) {
      now = fault;
    }
  }
  return now;
}

}  // namespace

std::optional<Fault> fault_that_befalls(const std::function<bool(const Fault&)>& passes) {
  const std::optional<Fault> now = next_of(passes);
  if (now) {
    tell();
  }
  return now;
}

bool is_of_disk(const Fault& fault) {
  for (const char* kind : {"short_write", "lost_write", "flip", "enospc", "eio", "sync_eio"}) {
    if (fault.kind == kind) {
      return true;
    }
  }
  return false;
}

}  // namespace lora_dist

// Fault points that do something: what LORA_DIST_FAULT says, "KIND,POINT,RANK[,PASSING[,TIMES[,SECONDS]]]", several between
// semicolons. The PASSING-th time (1 where it is left out) that RANK passes POINT, and TIMES in all (1; 0: from then on always),
// it is killed, stopped (SIGSTOP), asked to stop (signal), held for SECONDS (slow) or for ever (hang), ends without a word
// (exit), throws what nobody expects (throw), or its numbers become nan or a lie. The file LORA_DIST_FAULT_TOLD is made at that
// moment.
#include "src/core/fault_point.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "src/comm/process.h"

namespace lora_dist {

namespace {

struct Fault {
  std::string kind;
  std::string point;
  int rank = 0;
  int passing = 1;
  int times = 1;
  double seconds = 0.0;
  int passed = 0;
};

std::vector<std::string> split(const std::string& text, char mark) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, mark);) {
    parts.push_back(part);
  }
  return parts;
}

std::vector<Fault> faults_asked_for() {
  std::vector<Fault> faults;
  const char* text = std::getenv("LORA_DIST_FAULT");
  for (const std::string& one : split(text == nullptr ? "" : text, ';')) {
    std::vector<std::string> words = split(one, ',');
    const std::array<std::string, 6> defaults = {"", "", "0", "1", "1", "0"};
    for (std::size_t i = words.size(); i < defaults.size(); ++i) {
      words.push_back(defaults[i]);
    }
    faults.push_back({words[0], words[1], std::stoi(words[2]), std::stoi(words[3]), std::stoi(words[4]), std::stod(words[5])});
  }
  return faults;
}

bool happens_now(Fault& fault, std::string_view point) {
  if (fault.point != point || fault.rank != launcher_rank()) {
    return false;
  }
  ++fault.passed;
  return fault.passed >= fault.passing && (fault.times == 0 || fault.passed < fault.passing + fault.times);
}

/// So that a test knows when it was.
void tell() {
  if (const char* file = std::getenv("LORA_DIST_FAULT_TOLD"); file != nullptr && !std::ifstream(file)) {
    std::ofstream(file) << "now";
  }
}

void befall(const Fault& fault, std::span<float> values) {
  tell();
  if (fault.kind == "kill") {
    ::kill(::getpid(), SIGKILL);
  } else if (fault.kind == "stop") {
    ::kill(::getpid(), SIGSTOP);
  } else if (fault.kind == "signal") {
    ::kill(::getpid(), SIGUSR1);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // until it was noted
  } else if (fault.kind == "exit") {
    std::_Exit(0);
  } else if (fault.kind == "throw") {
    throw std::runtime_error("thrown by a test");
  } else if (fault.kind == "slow") {
    std::this_thread::sleep_for(std::chrono::duration<double>(fault.seconds));
  } else if (fault.kind == "hang") {
    for (;;) {
      std::this_thread::sleep_for(std::chrono::seconds(60));
    }
  } else if (!values.empty() && fault.kind == "nan") {
    values.front() = std::numeric_limits<float>::quiet_NaN();
  } else if (!values.empty() && fault.kind == "lie") {
    values.front() += 1.0F;
  }
}

}  // namespace

void fault_point(std::string_view point, std::span<float> values) {
  static std::vector<Fault> faults = faults_asked_for();  // by the one thread that works
  for (Fault& fault : faults) {
    if (happens_now(fault, point)) {
      befall(fault, values);
    }
  }
}

void fault_point(std::string_view point) { fault_point(point, {}); }

}  // namespace lora_dist

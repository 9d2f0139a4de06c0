// Reads the system's memory counters.
#include "src/plan/program_memory.h"

#include <fstream>
#include <string>

namespace lora_dist {

namespace {

// Code that oneDNN generates with its scratch, library pages that are touched late, tokens, the files of checkpoint and adapter:
// the value of five runs (tests/program/memory_test.cpp).
constexpr std::int64_t kOfARun = std::int64_t{24} << 20U;

}  // namespace

std::int64_t program_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (std::int64_t kibibytes = 0; word == "VmRSS:" && status >> kibibytes) {
      return kibibytes * 1024 + kOfARun;
    }
  }
  return kOfARun;
}

}  // namespace lora_dist

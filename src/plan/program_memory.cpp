// Reads what the system counts.
#include "src/plan/program_memory.h"

#include <fstream>
#include <string>

namespace lora_dist {

namespace {

// Code that oneDNN generates with its scratch, pages of libraries that are touched late, tokens, the files of checkpoint and
// adapter: as five runs were seen to hold (tests/program/memory_test.cpp).
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

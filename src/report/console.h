// What the user reads: rank 0 speaks, the others are silent.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string_view>

namespace lora_dist {

struct Console {
  bool speaks = false;
  bool only_warnings = false;  // standard output is for something else

  void line(std::string_view text) const {
    if (speaks && !only_warnings) {
      fmt::print("{}\n", text);
      std::fflush(stdout);
    }
  }
  /// Of what was decided for the user; on stderr, since what commands print on stdout may be data.
  void note(std::string_view text) const {
    if (speaks) {
      fmt::print(stderr, "lora_dist: note: {}\n", text);
    }
  }
  /// Warnings go to stderr, so that they are seen when stdout goes to a file.
  void warn(std::string_view text) const {
    if (speaks) {
      fmt::print(stderr, "lora_dist: warning: {}\n", text);
    }
  }
};

}  // namespace lora_dist

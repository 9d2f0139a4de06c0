// Text for the user: rank 0 prints, other ranks are silent.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string_view>

namespace lora_dist {

struct Console {
  bool speaks = false;
  bool only_warnings = false;  // standard output carries other data

  void line(std::string_view text) const {
    if (speaks && !only_warnings) {
      fmt::print("{}\n", text);
      std::fflush(stdout);
    }
  }
  /// A choice made for the user; on stderr, since commands may print data on stdout.
  void note(std::string_view text) const {
    if (speaks) {
      fmt::print(stderr, "lora_dist: note: {}\n", text);
    }
  }
  /// Warnings go to stderr, to stay visible if stdout goes to a file.
  void warn(std::string_view text) const {
    if (speaks) {
      fmt::print(stderr, "lora_dist: warning: {}\n", text);
    }
  }
};

}  // namespace lora_dist

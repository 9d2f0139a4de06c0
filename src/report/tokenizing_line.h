// The progress line of tokenizing.
#pragma once

#include <chrono>
#include <string>

#include "src/data/dataset.h"
#include "src/report/console.h"

namespace lora_dist {

/// "tokenizing  12,000/80,000 rows  3.1 MB/s  20 s left": rows of the current file, time of all files.
std::string format_tokenizing(const TokenizingFigures& figures, double seconds);

/// Silent for two seconds. A live terminal rewrites the line in place; other output gets a line every ten seconds.
class TokenizingLine {
 public:
  explicit TokenizingLine(const Console& console);

  void show(const TokenizingFigures& figures);
  /// Ends a line that is still being rewritten.
  void end();

 private:
  using Clock = std::chrono::steady_clock;

  const Console& console_;
  bool live_;
  Clock::time_point start_;
  Clock::time_point next_;
  bool line_open_ = false;
};

}  // namespace lora_dist

// Rows, speed and time left.
#include "src/report/tokenizing_line.h"

#include "src/core/with_commas.h"
#include "src/report/progress.h"

namespace lora_dist {

namespace {

constexpr std::chrono::seconds kSilence{2};
constexpr std::chrono::milliseconds kBetweenRewrites{500};
constexpr std::chrono::seconds kBetweenLines{10};

}  // namespace

std::string format_tokenizing(const TokenizingFigures& figures, double seconds) {
  const double speed = figures.bytes_done / seconds;
  return fmt::format("tokenizing  {}/{} rows  {:.1f} MB/s  {} left", with_commas(figures.rows_done), with_commas(figures.rows),
                     speed / 1e6, human_duration((figures.bytes - figures.bytes_done) / speed));
}

TokenizingLine::TokenizingLine(const Console& console)
    : console_(console), live_(console.speaks && is_live_terminal(stdout)), start_(Clock::now()), next_(start_ + kSilence) {}

void TokenizingLine::show(const TokenizingFigures& figures) {
  if (!console_.speaks) {
    return;
  }
  const Clock::time_point now = Clock::now();
  if (now < next_) {
    return;
  }
  const std::string line = format_tokenizing(figures, std::chrono::duration<double>(now - start_).count());
  if (live_) {
    fmt::print("\r{}\x1b[K", line);
    std::fflush(stdout);
  } else {
    console_.line(line);
  }
  line_open_ = live_;
  next_ = now;
  next_ += live_ ? Clock::duration(kBetweenRewrites) : Clock::duration(kBetweenLines);
}

void TokenizingLine::end() {
  if (line_open_) {
    console_.line("");
    line_open_ = false;
  }
}

}  // namespace lora_dist

// The progress line.
#include "src/report/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <string_view>

namespace lora_dist {

namespace {

constexpr double kOlderStepWeighs = 0.9;

std::string human_rate(double tokens_per_second) {
  if (tokens_per_second < 9999.5) {
    return fmt::format("{:.0f} tok/s", tokens_per_second);
  }
  if (tokens_per_second < 999950.0) {
    return fmt::format("{:.1f}k tok/s", tokens_per_second / 1e3);
  }
  return fmt::format("{:.2f}M tok/s", tokens_per_second / 1e6);
}

}  // namespace

void SmoothedRate::add(double step_tokens, double step_seconds) {
  steps = kOlderStepWeighs * steps + 1.0;
  tokens = kOlderStepWeighs * tokens + step_tokens;
  seconds = kOlderStepWeighs * seconds + step_seconds;
}

std::string human_duration(double seconds) {
  constexpr double a_thousand_years = 3.2e10;
  if (!(seconds >= 0.0 && seconds < a_thousand_years)) {
    return "?";
  }
  const auto total = std::llround(seconds);
  if (total < 60) {
    return fmt::format("{} s", total);
  }
  if (total < 3600) {
    return fmt::format("{} min {:02} s", total / 60, total % 60);
  }
  if (total < 86400) {
    return fmt::format("{} h {:02} min", total / 3600, total % 3600 / 60);
  }
  return fmt::format("{} d {:02} h", total / 86400, total % 86400 / 3600);
}

std::string format_progress(const ProgressFigures& figures) {
  const auto width = std::to_string(figures.total_steps).size();
  return fmt::format("step {:>{}}/{}  epoch {:.2f}  loss {:.4f}  lr {:.2e}  {}  {} left{}{}", figures.step, width,
                     figures.total_steps, figures.epoch, figures.loss, figures.learning_rate,
                     human_rate(figures.tokens_per_second), human_duration(figures.seconds_left),
                     figures.remark.empty() ? "" : "  ", figures.remark);
}

std::string format_place(const StepPlace& place, std::int64_t total_steps) {
  return fmt::format("step {:>{}}/{}  micro-batch {}/{}  {}", place.step, std::to_string(total_steps).size(), total_steps,
                     place.micro_batches_done, place.micro_batches, human_duration(place.seconds));
}

bool is_live_terminal(std::FILE* file) {
  // mpirun and srun may give a rank a pseudo-terminal of its own, wherever its output goes.
  for (const char* launcher : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"}) {
    if (std::getenv(launcher) != nullptr) {
      return false;
    }
  }
  const char* terminal = std::getenv("TERM");
  return isatty(fileno(file)) == 1 && terminal != nullptr && std::string_view(terminal) != "dumb";
}

bool shows_colours(std::FILE* file) {
  const char* refused = std::getenv("NO_COLOR");
  return is_live_terminal(file) && (refused == nullptr || *refused == '\0');
}

void ProgressLine::step_done(std::int64_t step, double epoch, double loss, double learning_rate, std::int64_t tokens,
                             double seconds, const std::string& remark) {
  rate_.add(static_cast<double>(tokens), seconds);
  if (step % log_every_ != 0 && step != total_steps_) {
    return;
  }
  const ProgressFigures figures = {.step = step,
                                   .total_steps = total_steps_,
                                   .epoch = epoch,
                                   .loss = loss,
                                   .learning_rate = learning_rate,
                                   .tokens_per_second = rate_.tokens_per_second(),
                                   .seconds_left = rate_.seconds_per_step() * static_cast<double>(total_steps_ - step),
                                   .remark = remark};
  print(format_progress(figures));
}

void ProgressLine::within_step(const StepPlace& place, double now) {
  constexpr double kSilence = 5.0;
  constexpr double kBetweenRewrites = 1.0;
  constexpr double kBetweenLines = 30.0;
  if (place.seconds < kSilence || now < next_place_) {
    return;
  }
  next_place_ = now + (live_ ? kBetweenRewrites : kBetweenLines);
  print(format_place(place, total_steps_));
}

void ProgressLine::print(const std::string& line) {
  constexpr std::string_view clear_to_end = "\x1b[K";
  const std::string text = live_ ? "\r" + line + std::string(clear_to_end) : line + "\n";
  std::fwrite(text.data(), 1, text.size(), file_);
  std::fflush(file_);
  line_open_ = live_;
}

void ProgressLine::end_line() {
  if (line_open_) {
    std::fputc('\n', file_);
    std::fflush(file_);
    line_open_ = false;
  }
}

}  // namespace lora_dist

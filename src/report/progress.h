// The progress line of a training run.
#pragma once

#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>

namespace lora_dist {

/// Rates over recent steps: sums in which each older step weighs 0.9 of the next one, so that one slow step does not make the
/// remaining time jump, and a slow start soon loses weight.
struct SmoothedRate {
  double steps = 0.0;
  double tokens = 0.0;
  double seconds = 0.0;

  void add(double step_tokens, double step_seconds);
  double tokens_per_second() const { return seconds > 0.0 ? tokens / seconds : 0.0; }
  double seconds_per_step() const { return steps > 0.0 ? seconds / steps : 0.0; }
};

struct ProgressFigures {
  std::int64_t step = 0;  // steps done
  std::int64_t total_steps = 0;
  double epoch = 0.0;
  double loss = 0.0;
  double learning_rate = 0.0;
  double tokens_per_second = 0.0;
  double seconds_left = 0.0;
  std::string remark = {};  // at the end of the line
};

/// "42 s", "3 min 05 s", "2 h 07 min", "3 d 04 h"; "?" if it is not finite.
std::string human_duration(double seconds);
/// "step  120/1000  epoch 0.48  loss 2.3141  lr 1.85e-04  12.3k tok/s  3 min 05 s left"
std::string format_progress(const ProgressFigures& figures);

/// The progress within a step.
struct StepPlace {
  std::int64_t step = 0;  // in progress; the first is 1
  std::int64_t micro_batches_done = 0;
  std::int64_t micro_batches = 0;  // of the step, on all ranks
  double seconds = 0.0;            // since the step started
};
/// "step  3/80  micro-batch 5/16  12 s"
std::string format_place(const StepPlace& place, std::int64_t total_steps);

/// True if a carriage return rewrites the line: `file` is a terminal, and not the pseudo-terminal that mpirun or srun put between
/// the program and a possible file.
bool is_live_terminal(std::FILE* file);

/// True if text may have colours: a live terminal, unless the variable NO_COLOR (no-color.org) is set and not empty.
bool shows_colours(std::FILE* file);

/// Prints the progress of one run. A live terminal rewrites the line in place; other output gets a new line each time.
class ProgressLine {
 public:
  ProgressLine(std::FILE* file, bool live, std::int64_t total_steps, std::int64_t log_every)
      : file_(file), live_(live), total_steps_(total_steps), log_every_(log_every < 1 ? 1 : log_every) {}

  /// Call after every step; prints at every log_every-th and at the last one.
  void step_done(std::int64_t step, double epoch, double loss, double learning_rate, std::int64_t tokens, double seconds,
                 const std::string& remark = {});
  /// Call between the micro-batches of a step. Prints the position in a step that has taken 5 s: on a live terminal at most every
  /// second, elsewhere at most every 30 s, over all steps. `now`: seconds of the caller's clock.
  void within_step(const StepPlace& place, double now);
  /// Ends a line that is still being rewritten. Call before printing anything else.
  void end_line();

 private:
  void print(const std::string& line);

  std::FILE* file_;
  bool live_;
  std::int64_t total_steps_;
  std::int64_t log_every_;
  SmoothedRate rate_;
  double next_place_ = -std::numeric_limits<double>::infinity();  // time of the next position line
  bool line_open_ = false;
};

}  // namespace lora_dist

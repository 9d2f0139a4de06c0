// The progress line: rates, durations, time of printing.
#include "src/report/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>

namespace lora_dist::progress_test {
namespace {

TEST(HumanDuration, TwoUnitsAtMost) {
  EXPECT_EQ(human_duration(0.0), "0 s");
  EXPECT_EQ(human_duration(59.4), "59 s");
  EXPECT_EQ(human_duration(59.6), "1 min 00 s");
  EXPECT_EQ(human_duration(185.0), "3 min 05 s");
  EXPECT_EQ(human_duration(3600.0), "1 h 00 min");
  EXPECT_EQ(human_duration(2.0 * 3600 + 7 * 60 + 59), "2 h 07 min");
  EXPECT_EQ(human_duration(3.0 * 86400 + 4 * 3600), "3 d 04 h");
  EXPECT_EQ(human_duration(-1.0), "?");
  EXPECT_EQ(human_duration(std::nan("")), "?");
  EXPECT_EQ(human_duration(std::numeric_limits<double>::infinity()), "?");
}

TEST(FormatProgress, HoldsEverythingInOneLine) {
  const ProgressFigures figures = {.step = 7,
                                   .total_steps = 1200,
                                   .epoch = 0.481,
                                   .loss = 2.31407,
                                   .learning_rate = 1.85e-4,
                                   .tokens_per_second = 12345.0,
                                   .seconds_left = 185.0};
  EXPECT_EQ(format_progress(figures), "step    7/1200  epoch 0.48  loss 2.3141  lr 1.85e-04  12.3k tok/s  3 min 05 s left");
  ProgressFigures quick = figures;
  quick.tokens_per_second = 999.6;
  EXPECT_NE(format_progress(quick).find("  1000 tok/s  "), std::string::npos);
  quick.tokens_per_second = 2.5e6;
  EXPECT_NE(format_progress(quick).find("  2.50M tok/s  "), std::string::npos);
}

TEST(SmoothedRate, IsTheRateOfASteadyRunAndForgetsASlowStart) {
  SmoothedRate rate;
  EXPECT_EQ(rate.tokens_per_second(), 0.0);
  EXPECT_EQ(rate.seconds_per_step(), 0.0);
  rate.add(100.0, 10.0);
  EXPECT_DOUBLE_EQ(rate.tokens_per_second(), 10.0);
  EXPECT_DOUBLE_EQ(rate.seconds_per_step(), 10.0);
  rate.add(100.0, 1.0);
  EXPECT_DOUBLE_EQ(rate.tokens_per_second(), (0.9 * 100.0 + 100.0) / (0.9 * 10.0 + 1.0));
  for (int i = 0; i < 200; ++i) {
    rate.add(100.0, 1.0);
  }
  // Now the slow step weighs 0.9^201 (6e-10) of a new one; the sums hold about ten new ones.
  EXPECT_NEAR(rate.tokens_per_second(), 100.0, 1e-6);
  EXPECT_NEAR(rate.seconds_per_step(), 1.0, 1e-8);
}

std::string printed(std::FILE* file) {
  std::string text(static_cast<std::size_t>(std::ftell(file)), '\0');
  std::rewind(file);
  text.resize(std::fread(text.data(), 1, text.size(), file));
  return text;
}

std::string run_of_five_steps(bool live, std::int64_t log_every) {
  std::FILE* file = std::tmpfile();
  ProgressLine line(file, live, 5, log_every);
  for (std::int64_t step = 1; step <= 5; ++step) {
    line.step_done(step, 0.2 * static_cast<double>(step), 1.0, 1e-4, 100, 2.0);
  }
  line.end_line();
  line.end_line();  // no open line: prints nothing
  const std::string text = printed(file);
  std::fclose(file);
  return text;
}

TEST(ProgressLine, PlainLinesEveryLogEveryStepsAndAtTheEnd) {
  EXPECT_EQ(run_of_five_steps(false, 2),
            "step 2/5  epoch 0.40  loss 1.0000  lr 1.00e-04  50 tok/s  6 s left\n"
            "step 4/5  epoch 0.80  loss 1.0000  lr 1.00e-04  50 tok/s  2 s left\n"
            "step 5/5  epoch 1.00  loss 1.0000  lr 1.00e-04  50 tok/s  0 s left\n");
}

TEST(ProgressLine, RewritesInPlaceOnATerminal) {
  EXPECT_EQ(run_of_five_steps(true, 4),
            "\rstep 4/5  epoch 0.80  loss 1.0000  lr 1.00e-04  50 tok/s  2 s left\x1b[K"
            "\rstep 5/5  epoch 1.00  loss 1.0000  lr 1.00e-04  50 tok/s  0 s left\x1b[K\n");
}

/// Two steps of 16 micro-batches of 3 s each, reported with the caller's clock.
std::string long_steps(bool live) {
  std::FILE* file = std::tmpfile();
  ProgressLine line(file, live, 80, 1);
  double now = 1000.0;
  for (const std::int64_t step : {3, 4}) {
    const double begun = now;
    for (std::int64_t done = 1; done < 16; ++done) {
      now += 3.0;
      line.within_step({step, done, 16, now - begun}, now);
    }
    now += 3.0;
    line.step_done(step, 0.5, 1.0, 1e-4, 4800, now - begun);
  }
  line.end_line();
  const std::string text = printed(file);
  std::fclose(file);
  return text;
}

TEST(ProgressLine, TellsWhereALongStepIs) {
  EXPECT_EQ(long_steps(false),
            "step  3/80  micro-batch 2/16  6 s\n"
            "step  3/80  micro-batch 12/16  36 s\n"
            "step  3/80  epoch 0.50  loss 1.0000  lr 1.00e-04  100 tok/s  1 h 01 min left\n"
            "step  4/80  micro-batch 6/16  18 s\n"  // 30 s after the previous line
            "step  4/80  epoch 0.50  loss 1.0000  lr 1.00e-04  100 tok/s  1 h 00 min left\n");
}

TEST(ProgressLine, RewritesWhereALongStepIsOnATerminal) {
  const std::string text = long_steps(true);
  EXPECT_EQ(text.find("micro-batch 1/16"), std::string::npos);  // 3 s
  for (int done = 2; done < 16; ++done) {
    EXPECT_NE(text.find("\rstep  3/80  micro-batch " + std::to_string(done) + "/16  " + human_duration(3.0 * done) + "\x1b[K"),
              std::string::npos)
        << done;
  }
  std::FILE* file = std::tmpfile();
  ProgressLine line(file, true, 80, 1);
  for (const double seconds : {5.0, 5.4, 5.9, 6.0, 6.2}) {
    line.within_step({1, 1, 9, seconds}, seconds);
  }
  EXPECT_EQ(printed(file), "\rstep  1/80  micro-batch 1/9  5 s\x1b[K\rstep  1/80  micro-batch 1/9  6 s\x1b[K");
  std::fclose(file);
}

TEST(ProgressLine, SaysNothingWithinAShortStep) {
  std::FILE* file = std::tmpfile();
  ProgressLine line(file, false, 80, 1);
  line.within_step({1, 1, 2, 4.9}, 4.9);
  line.within_step({2, 1, 2, 4.9}, 100.0);
  EXPECT_EQ(printed(file), "");
  std::fclose(file);
}

TEST(IsLiveTerminal, FileAndLaunchedRankAreNot) {
  std::FILE* file = std::tmpfile();
  EXPECT_FALSE(is_live_terminal(file));
  std::fclose(file);
}

/// Sets an environment variable for its lifetime; null: unsets it.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name); before != nullptr) {
      before_ = before;
    }
    set(value);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { set(before_ ? before_->c_str() : nullptr); }

 private:
  void set(const char* value) const { value == nullptr ? unsetenv(name_) : setenv(name_, value, 1); }
  const char* name_;
  std::optional<std::string> before_;
};

TEST(ShowsColours, OnATerminalUnlessTheUserOrALauncherIsAgainstIt) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_EQ(grantpt(master), 0);
  ASSERT_EQ(unlockpt(master), 0);
  std::FILE* terminal = std::fopen(ptsname(master), "w");
  ASSERT_NE(terminal, nullptr);
  const Variable open_mpi("OMPI_COMM_WORLD_RANK", nullptr);
  const Variable pmi("PMI_RANK", nullptr);
  const Variable pmix("PMIX_RANK", nullptr);
  const Variable slurm("SLURM_PROCID", nullptr);
  const Variable kind("TERM", "xterm");
  const Variable refused("NO_COLOR", nullptr);
  EXPECT_TRUE(shows_colours(terminal));
  {
    const Variable empty("NO_COLOR", "");
    EXPECT_TRUE(shows_colours(terminal));
    const Variable set("NO_COLOR", "1");
    EXPECT_FALSE(shows_colours(terminal));
  }
  {
    const Variable dumb("TERM", "dumb");
    EXPECT_FALSE(shows_colours(terminal));
  }
  const Variable launched("OMPI_COMM_WORLD_RANK", "0");
  EXPECT_FALSE(shows_colours(terminal));
  std::fclose(terminal);
  close(master);
  std::FILE* file = std::tmpfile();
  EXPECT_FALSE(shows_colours(file));
  std::fclose(file);
}

}  // namespace
}  // namespace lora_dist::progress_test

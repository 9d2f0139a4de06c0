// Runs killed at any moment and on any rank, or stopped by a signal, and resumed on another number of ranks: the bits of an
// uninterrupted run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "src/checkpoint/checkpoint.h"
#include "tests/program/fixtures.h"

namespace lora_dist::program::resume_test {
namespace {

namespace fs = std::filesystem;

/// With an evaluation on the way, so that the best adapter and eval.jsonl take part.
Settings evaluated_run(const fs::path& output, const std::string& checkpoint_every) {
  Settings settings = short_run(output);
  settings["data.validation_split"] = "0.1";
  settings["eval.every"] = "3";
  settings["checkpoint.every"] = checkpoint_every;
  return settings;
}

std::string progress_text(int step, int total) {
  const std::string all = std::to_string(total);
  const std::string number = std::to_string(step);
  return "step " + std::string(all.size() - number.size(), ' ') + number + "/" + all;
}

/// Everything that an interrupted run must have in common with a straight one.
void expect_same_run(const fs::path& output, const fs::path& straight) {
  expect_same_training(output, straight);
  for (const char* key : {"step", "loss", "perplexity", "best"}) {
    EXPECT_EQ(column(read_lines(output / "eval.jsonl"), key), column(read_lines(straight / "eval.jsonl"), key)) << key;
  }
  const std::string best = "adapter_best/adapter_model.safetensors";
  EXPECT_TRUE(get_file(output / best) == get_file(straight / best));
}

struct Cut {
  int after;   // steps, then a kill
  int before;  // ranks
  int then;
  int killed;  // rank
};

class ResumeAtCut : public testing::TestWithParam<Cut> {};

TEST_P(ResumeAtCut, GivesTheBitsOfAStraightRun) {
  const Cut cut = GetParam();
  const Scratch scratch;
  expect_success(launch_of(evaluated_run(scratch / "straight", "0"), 1));
  expect_steps(scratch / "straight", 10);

  const Settings settings = evaluated_run(scratch / "cut", std::to_string(cut.after));
  Launch killed = launch_of(settings, cut.before);
  killed.when = progress_text(cut.after + 1, 10);
  killed.act = [&](const RunningJob& job) { job.kill_rank(cut.killed); };
  const Finished end = run_program(killed);
  EXPECT_FALSE(end.timed_out);
  // The kill may come before the checkpoint of this step is committed, or a step or two late, after a later one or even the end.
  const std::vector<std::string> checkpoints = checkpoints_of(scratch / "cut");
  const Finished resumed = expect_success(launch_of(settings, cut.then));
  EXPECT_EQ(count_of(resumed.out, "resuming from "), checkpoints.empty() || checkpoints.back() == "step_00000010" ? 0 : 1);
  if (!checkpoints.empty() && checkpoints.back() != "step_00000010") {
    EXPECT_NE(resumed.out.find("resuming from " + (scratch / "cut/checkpoints").string() + "/" + checkpoints.back()),
              std::string::npos)
        << resumed.out;
  }
  expect_steps(scratch / "cut", 10);
  expect_same_run(scratch / "cut", scratch / "straight");
}

INSTANTIATE_TEST_SUITE_P(Cuts, ResumeAtCut, testing::Values(Cut{1, 1, 2, 0}, Cut{4, 2, 4, 1}, Cut{5, 4, 3, 0}, Cut{9, 2, 1, 1}),
                         [](const auto& info) {
                           return "After" + std::to_string(info.param.after) + "Ranks" + std::to_string(info.param.before) +
                                  "Then" + std::to_string(info.param.then);
                         });

TEST(Resume, AfterAStopOnRequestGoesOnToTheSameBits) {
  const Scratch scratch;
  expect_success(launch_of(evaluated_run(scratch / "straight", "0"), 1));
  const Settings settings = evaluated_run(scratch / "stopped", "0");
  Launch launch = launch_of(settings, 2);
  launch.when = progress_text(2, 10);
  launch.act = [](const RunningJob& job) { kill(job.launcher, SIGUSR1); };
  const Finished stopped = run_program(launch);
  EXPECT_EQ(stopped.exit_code, 75) << stopped.out << stopped.err;
  EXPECT_EQ(count_of(stopped.out, "stopped on request at step "), 1) << stopped.out;
  EXPECT_NE(stopped.out.find("run the same command to go on"), std::string::npos) << stopped.out;
  EXPECT_EQ(count_of(stopped.err, "lora_dist: error:"), 0) << stopped.err;
  ASSERT_EQ(checkpoints_of(scratch / "stopped").size(), 1U);
  EXPECT_TRUE(fs::exists(scratch / "stopped/adapter/adapter_model.safetensors"));

  expect_success(launch_of(settings, 3));
  expect_steps(scratch / "stopped", 10);
  expect_same_run(scratch / "stopped", scratch / "straight");
}

/// Conversations under a chat template that prints the date.
Settings dated_run(const Scratch& scratch, const fs::path& output) {
  const fs::path model = copy_of_model(scratch / "model");
  put_file(model / "chat_template.jinja",
           "{{ strftime_now('%d %b %Y') }}{% for m in messages %}{{ m.role + ':' + m.content + eos_token }}{% endfor %}"
           "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}");
  std::string rows;
  for (int i = 0; i < 60; ++i) {
    rows += R"({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "So )" + std::string(i, 'o') +
            "\"}]}\n";
  }
  put_file(scratch / "chats.jsonl", rows);
  Settings settings = evaluated_run(output, "4");
  settings["model.path"] = model.string();
  settings["data.train"] = toml_list({scratch / "chats.jsonl"});
  return settings;
}

TEST(Resume, OnAnotherDayTellsTheTemplateTheDayOfTheStart) {
  const Scratch scratch;
  const auto launch_on = [](Settings settings, const char* seconds, const std::string& command = "train") {
    settings["data.cache_dir"] = "none";  // so that the tokens are made again
    Launch launch = launch_of(settings, 2, command);
    launch.environment["SOURCE_DATE_EPOCH"] = seconds;
    launch.environment["TZ"] = "UTC";
    return launch;
  };
  const std::string note = "note: the model's chat template prints the date: 2023-11-14 here";
  const char* start = "1700000000";
  const char* later = "1700400000";
  const Settings straight = dated_run(scratch, scratch / "straight");
  Settings cut = straight;
  cut["output.dir"] = (scratch / "cut").string();
  EXPECT_EQ(count_of(expect_success(launch_on(straight, start)).out, note), 1);
  Launch stopped = launch_on(cut, start);
  stopped.when = progress_text(2, 10);
  stopped.act = [](const RunningJob& job) { kill(job.launcher, SIGUSR1); };
  EXPECT_EQ(run_program(stopped).exit_code, 75);
  const std::string resumed = expect_success(launch_on(cut, later)).out;
  EXPECT_EQ(count_of(resumed, note), 1) << resumed;
  EXPECT_EQ(count_of(resumed, "resuming from "), 1) << resumed;
  expect_same_run(scratch / "cut", scratch / "straight");
  for (const char* command : {"data", "eval"}) {
    EXPECT_EQ(count_of(expect_success(launch_on(cut, later, command)).out, note), 1) << command;
  }
  cut["checkpoint.resume"] = "never";
  EXPECT_EQ(count_of(expect_success(launch_on(cut, later)).out, "prints the date: 2023-11-19 here"), 1);
}

/// A batch system may send its signal while the model is still being read.
TEST(Resume, AStopAskedForWhileLoadingEndsTheJobAtOnce) {
  const Scratch scratch;
  Launch launch = launch_of(evaluated_run(scratch / "out", "0"), 2);
  launch.when = "model ";
  launch.act = [](const RunningJob& job) { kill(job.launcher, SIGUSR1); };
  const Finished stopped = run_program(launch);
  EXPECT_EQ(stopped.exit_code, 75) << stopped.out << stopped.err;
  EXPECT_LE(checkpoints_of(scratch / "out").size(), 1U);  // one where the signal came late, after loading
  EXPECT_EQ(count_of(stopped.err, "nothing was trained yet") + count_of(stopped.out, "stopped on request at step "), 1)
      << stopped.out << stopped.err;
}

TEST(Resume, TheSignalEndsTheJobWhereItIsNotListenedFor) {
  const Scratch scratch;
  Settings settings = evaluated_run(scratch / "out", "0");
  settings["checkpoint.on_signal"] = "false";
  settings["train.max_steps"] = "100000";
  Launch launch = launch_of(settings, 2);
  launch.when = progress_text(2, 100000);
  launch.act = [](const RunningJob& job) { kill(job.launcher, SIGUSR1); };
  const Finished ended = run_program(launch);
  EXPECT_FALSE(ended.timed_out);
  EXPECT_NE(ended.exit_code, 0);
  EXPECT_NE(ended.exit_code, 75);
  EXPECT_TRUE(checkpoints_of(scratch / "out").empty());
}

/// kill -9 at random moments, most of them inside the writing of a checkpoint, since there is one after every step.
TEST(Resume, KillsAtRandomMomentsLoseAtMostTheStepsSinceTheLastCheckpoint) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "straight");
  settings["train.max_steps"] = "40";
  settings["checkpoint.every"] = "0";
  expect_success(launch_of(settings, 1));

  settings["output.dir"] = (scratch / "killed").string();
  settings["checkpoint.every"] = "1";
  settings["checkpoint.keep"] = "2";
  std::mt19937 random(7);
  for (int kill_number = 0; kill_number < 8; ++kill_number) {
    const int ranks = 1 + static_cast<int>(random() % 3);
    Launch launch = launch_of(settings, ranks);
    launch.when = "step ";
    launch.delay_seconds = static_cast<double>(random() % 200) / 1000.0;
    const int killed = static_cast<int>(random() % static_cast<unsigned>(ranks));
    launch.act = [killed](const RunningJob& job) { job.kill_rank(killed); };
    const Finished end = run_program(launch);
    EXPECT_FALSE(end.timed_out) << end.out << end.err;
    const std::vector<std::string> checkpoints = checkpoints_of(scratch / "killed");
    for (const std::string& checkpoint : checkpoints) {
      EXPECT_EQ(verify_checkpoint(scratch / "killed/checkpoints" / checkpoint), std::vector<std::string>{});
    }
    const std::int64_t saved = checkpoints.empty() ? 0 : std::stoll(checkpoints.back().substr(5));
    // The one of a step is committed before that of the next is begun.
    EXPECT_GE(saved + 2, count_of(get_file(scratch / "killed/metrics.jsonl"), "\n"));
    EXPECT_LE(saved, count_of(get_file(scratch / "killed/metrics.jsonl"), "\n"));
  }
  expect_success(launch_of(settings, 2));
  expect_steps(scratch / "killed", 40);
  expect_same_training(scratch / "killed", scratch / "straight");
  EXPECT_EQ(checkpoints_of(scratch / "killed").size(), 2U);
  for (const auto& entry : fs::directory_iterator(scratch / "killed/checkpoints")) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".tmp")) << entry.path();
  }
}

TEST(Resume, OneProcessWithoutMpirunStopsOnRequestToo) {
  const Scratch scratch;
  expect_success(launch_of(short_run(scratch / "straight"), 1));
  const Settings settings = short_run(scratch / "stopped");
  Launch launch = launch_of(settings, 0);
  launch.when = progress_text(1, 10);
  launch.act = [](const RunningJob& job) { kill(job.launcher, SIGTERM); };
  EXPECT_EQ(run_program(launch).exit_code, 75);
  expect_success(launch_of(settings, 0));
  expect_steps(scratch / "stopped", 10);
  expect_same_training(scratch / "stopped", scratch / "straight");
}

/// A lost rank must not leave the other ranks waiting.
TEST(Resume, AKilledRankEndsTheJob) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["train.max_steps"] = "100000";
  settings["checkpoint.every"] = "0";
  for (const int rank : {0, 2}) {
    Launch launch = launch_of(settings, 3);
    launch.when = progress_text(3, 100000);
    launch.timeout_seconds = 60.0;
    launch.act = [rank](const RunningJob& job) { job.kill_rank(rank); };
    const Finished ended = run_program(launch);
    EXPECT_FALSE(ended.timed_out) << "rank " << rank;
    // mpirun of Open MPI says 137, mpiexec of MPICH 9.
    EXPECT_THAT(ended.exit_code, testing::AnyOf(128 + SIGKILL, SIGKILL)) << ended.err;
  }
}

TEST(Resume, AKilledLauncherLeavesNoRankBehind) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["train.max_steps"] = "100000";
  Launch launch = launch_of(settings, 3);
  launch.when = progress_text(3, 100000);
  std::map<int, pid_t> ranks;
  launch.act = [&ranks](const RunningJob& job) {
    ranks = job.ranks();
    kill(job.launcher, SIGKILL);
  };
  run_program(launch);
  ASSERT_EQ(ranks.size(), 3U);
  for (int tenth = 0;
       tenth < 300 && std::any_of(ranks.begin(), ranks.end(), [](const auto& r) { return kill(r.second, 0) == 0; }); ++tenth) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  for (const auto& [rank, process] : ranks) {
    EXPECT_NE(kill(process, 0), 0) << "rank " << rank << " is still there after half a minute";
    kill(process, SIGKILL);
  }
}

}  // namespace
}  // namespace lora_dist::program::resume_test

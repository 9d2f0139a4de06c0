// Tokens kept between runs: the same bits with them and without, made again when anything they depend on changes, never in the
// way.
#include <gtest/gtest.h>

#include "tests/program/fixtures.h"

namespace lora_dist::program::token_cache_test {
namespace {

namespace fs = std::filesystem;

/// Questions of the demo, two steps.
Settings text_run(const fs::path& output) {
  Settings settings = short_run(output);
  settings["data.train"] = toml_list({source("demo/medquad/validation.jsonl")});
  settings["data.validation_split"] = "0.1";
  settings["train.max_steps"] = "2";
  settings["checkpoint.every"] = "0";
  return settings;
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> out;
  if (fs::exists(folder)) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      out.push_back(entry.path());
    }
  }
  return out;
}

bool from_cache(const Finished& finished) { return finished.out.find("tokens     from cache ") != std::string::npos; }

/// The report of the data as it was printed.
std::string report_in(const Finished& finished) {
  const std::size_t begin = finished.out.find("\ntrain ");
  const std::size_t end = finished.out.find("\nadapter ");
  EXPECT_NE(begin, std::string::npos) << finished.out;
  return finished.out.substr(begin, end - begin);
}

TEST(TokenCache, ChangesNoBitAndIsTheSameFromAnyNumberOfRanks) {
  const Scratch scratch;
  Settings settings = text_run(scratch / "without");
  settings["data.cache_dir"] = "none";
  const Finished without = expect_success(launch_of(settings, 1));
  EXPECT_TRUE(files_in(scratch / "without/token_cache").empty());
  std::string first;
  for (const int ranks : {1, 2, 4}) {
    const fs::path output = scratch / std::to_string(ranks);
    const Finished made = expect_success(launch_of(text_run(output), ranks));
    EXPECT_FALSE(from_cache(made));
    EXPECT_EQ(report_in(made), report_in(without));
    expect_same_training(output, scratch / "without");
    const std::vector<fs::path> files = files_in(output / "token_cache");
    ASSERT_EQ(files.size(), 1U);
    const std::string content = get_file(files[0]);
    first = first.empty() ? content : first;
    EXPECT_TRUE(content == first) << ranks;
  }
  settings["data.cache_dir"] = (scratch / "4/token_cache").string();
  for (const int ranks : {1, 3}) {
    settings["output.dir"] = (scratch / ("taken" + std::to_string(ranks))).string();
    const Finished taken = expect_success(launch_of(settings, ranks));
    EXPECT_TRUE(from_cache(taken)) << taken.out;
    EXPECT_EQ(report_in(taken), report_in(without));
    expect_same_training(settings["output.dir"], scratch / "without");
  }
}

TEST(TokenCache, IsMadeAgainForOtherDataOptionsAndTokenizers) {
  const Scratch scratch;
  const fs::path data = scratch / "rows.jsonl";
  put_file(data, get_file(source("demo/medquad/validation.jsonl")));
  Settings settings = text_run(scratch / "out");
  settings["data.train"] = toml_list({data});
  settings["data.cache_dir"] = (scratch / "cache").string();
  settings["model.path"] = copy_of_model(scratch / "model").string();
  settings["checkpoint.resume"] = "never";
  settings["train.max_steps"] = "1";
  const auto expect_made = [&](std::size_t files) {
    EXPECT_FALSE(from_cache(expect_success(launch_of(settings, 0))));
    EXPECT_EQ(files_in(scratch / "cache").size(), files);
    EXPECT_TRUE(from_cache(expect_success(launch_of(settings, 0))));
  };
  expect_made(1);
  put_file(data, get_file(data) + "{\"question\": \"Why?\", \"answer\": \"So.\"}\n");
  expect_made(2);
  settings["data.max_length"] = "100";
  expect_made(3);
  settings["data.train_on"] = "all";
  expect_made(4);
  const fs::path config = scratch / "model/tokenizer_config.json";
  put_file(config, get_file(config) + "\n");
  expect_made(5);
  settings["train.seed"] = "7";  // another order of the same tokens
  EXPECT_TRUE(from_cache(expect_success(launch_of(settings, 0))));
  fs::rename(data, scratch / "renamed.jsonl");
  settings["data.train"] = toml_list({scratch / "renamed.jsonl"});
  const Finished renamed = expect_success(launch_of(settings, 0));
  EXPECT_TRUE(from_cache(renamed));
  EXPECT_NE(renamed.out.find("renamed.jsonl: "), std::string::npos) << renamed.out;
}

TEST(TokenCache, DamageIsAWarningAndTheFileIsMadeAgain) {
  const Scratch scratch;
  Settings settings = text_run(scratch / "out");
  settings["checkpoint.resume"] = "never";
  expect_success(launch_of(settings, 1));
  const fs::path file = files_in(scratch / "out/token_cache").at(0);
  const std::string good = get_file(file);
  for (const bool cut : {false, true}) {
    cut ? truncate_file(file, 0.9) : flip_bit(file, 0.5);
    const Finished finished = expect_success(launch_of(settings, cut ? 2 : 1));
    EXPECT_NE(finished.err.find("warning: the token cache " + file.string() + " is not used: "), std::string::npos)
        << finished.err;
    EXPECT_FALSE(from_cache(finished));
    EXPECT_TRUE(get_file(file) == good);
  }
}

TEST(TokenCache, AFolderThatCannotBeWrittenIsAWarning) {
  const Scratch scratch;
  put_file(scratch / "file", "");
  Settings settings = text_run(scratch / "out");
  settings["data.cache_dir"] = (scratch / "file/cache").string();
  for (const int ranks : {1, 3}) {
    settings["output.dir"] = (scratch / ("out" + std::to_string(ranks))).string();
    const Finished finished = expect_success(launch_of(settings, ranks));
    EXPECT_EQ(count_of(finished.err, "warning: the tokens are not kept for the next run: cannot use the folder"), 1)
        << finished.err;
    EXPECT_NE(finished.err.find("(data.cache_dir)"), std::string::npos);
  }
  expect_same_training(scratch / "out3", scratch / "out1");
}

TEST(TokenCache, EvaluationTakesItToo) {
  const Scratch scratch;
  const Settings settings = text_run(scratch / "out");
  expect_success(launch_of(settings, 1));
  EXPECT_TRUE(from_cache(expect_success(launch_of(settings, 2, "eval"))));
}

}  // namespace
}  // namespace lora_dist::program::token_cache_test

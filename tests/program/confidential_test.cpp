// A run's files are accessible to their owner only, and output.show_text = false keeps the data out of the output.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/program/fixtures.h"

namespace lora_dist::program::confidential_test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSecret = "heartbreak";  // one word of the story, so that it is found however it is cut into tokens
constexpr const char* kRefusing =
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system here: ' + m.content) }}{% endif %}"
    "{{ m.content + eos_token }}{% endfor %}";

std::string row_of(const std::string& text) { return nlohmann::json{{"question", text}, {"answer", text}}.dump() + "\n"; }

Settings run_of_texts(const Scratch& scratch) {
  std::string rows;
  for (int i = 0; i < 8; ++i) {
    rows += row_of(kSecret);
  }
  put_file(scratch / "rows.jsonl", rows);
  Settings settings = short_run(scratch / "out");
  settings["data.train"] = toml_list({scratch / "rows.jsonl"});
  settings["data.validation_split"] = "0.3";
  settings["train.max_steps"] = "2";
  return settings;
}

std::string all_said(const Finished& finished) { return finished.out + finished.err; }

TEST(Confidential, WhatARunWritesIsItsOwnersAlone) {
  const Scratch scratch;
  expect_success(launch_of(run_of_texts(scratch), 2));
  int seen = 0;
  for (const auto& entry : fs::recursive_directory_iterator(scratch / "out")) {
    const auto others = entry.status().permissions() & (fs::perms::group_all | fs::perms::others_all);
    EXPECT_EQ(others, fs::perms::none) << entry.path();
    ++seen;
  }
  EXPECT_GT(seen, 10);
}

TEST(Confidential, SamplesAndAnswersAreShownUnlessKeptBack) {
  const Scratch scratch;
  Settings settings = run_of_texts(scratch);
  const Finished shown = expect_success(launch_of(settings, 0));
  EXPECT_EQ(count_of(shown.out, kSecret) > 0, true) << shown.out;
  settings["output.show_text"] = "false";
  settings["output.dir"] = (scratch / "quiet").string();
  const Finished quiet = expect_success(launch_of(settings, 0));
  EXPECT_EQ(count_of(all_said(quiet), kSecret), 0) << quiet.out;
  EXPECT_EQ(count_of(quiet.out, "the first training sample"), 0) << quiet.out;
  EXPECT_EQ(count_of(quiet.out, "prompt    |"), 0) << quiet.out;
  EXPECT_EQ(count_of(quiet.out, "note: samples are not shown: output.show_text = false"), 1) << quiet.out;

  Launch data = launch_of(settings, 0, "data");
  data.arguments.insert(data.arguments.end(), {"--samples", "3"});
  const Finished report = expect_success(data);
  EXPECT_EQ(count_of(report.out, "training sample "), 0) << report.out;
}

TEST(Confidential, ARefusalsOwnWordsAreKeptBack) {
  const Scratch scratch;
  Settings settings = run_of_texts(scratch);
  const fs::path model = copy_of_model(scratch / "model");
  put_file(model / "chat_template.jinja", kRefusing);
  put_file(scratch / "rows.jsonl", nlohmann::json{{"messages", {{{"role", "system"}, {"content", kSecret}}}}}.dump() + "\n");
  settings["model.path"] = model.string();
  expect_error(launch_of(settings, 0), 3, {std::string("no system here: ") + kSecret});
  settings["output.show_text"] = "false";
  const Finished quiet = expect_error(launch_of(settings, 0), 3,
                                      {"rows.jsonl:1: the chat template refuses the conversation (its words, which may quote the "
                                       "row, are kept back: output.show_text = false)"});
  EXPECT_EQ(count_of(all_said(quiet), kSecret), 0) << quiet.err;
}

TEST(Confidential, TheAdapterSaysWhatItCameFrom) {
  const Scratch scratch;
  expect_success(launch_of(run_of_texts(scratch), 0));
  const nlohmann::json origin = read_json(scratch / "out" / "adapter" / "lora_dist.json");
  EXPECT_EQ(origin.at("step"), 2);
  for (const char* key : {"base_model_hash", "training_samples_digest", "configuration_digest"}) {
    EXPECT_EQ(origin.at(key).get<std::string>().size(), 64U) << key;
  }
  Launch inspect;
  inspect.arguments = {"inspect", (scratch / "out" / "adapter").string()};
  const Finished seen = expect_success(inspect);
  EXPECT_EQ(count_of(seen.out, origin.at("base_model_hash").get<std::string>()), 1) << seen.out;
}

}  // namespace
}  // namespace lora_dist::program::confidential_test

// lora_dist data: report and samples of a configuration, from a folder without weights, and training's exit codes.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/program/fixtures.h"

namespace lora_dist::program::data_command_test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTemplate =
    "{% for m in messages %}{{ m.role + ': ' + m.content + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";

/// config.json and the tokenizer of the demo, with a chat template.
void put_folder(const fs::path& folder) {
  fs::create_directories(folder);
  for (const char* name : {"config.json", "tokenizer.json", "tokenizer_config.json"}) {
    fs::copy_file(source("demo/model") / name, folder / name);
  }
  put_file(folder / "chat_template.jinja", kTemplate);
}

Launch data(const Scratch& scratch, int ranks, Settings more, const std::vector<std::string>& options = {}) {
  more.insert({{"model.path", (scratch / "model").string()},
               {"data.train", toml_list({scratch / "rows.jsonl"})},
               {"data.validation_split", "0"}});
  Launch launch = launch_of(more, ranks, "data");
  launch.arguments.insert(launch.arguments.end(), options.begin(), options.end());
  launch.folder = scratch.path();
  return launch;
}

const std::string kRow = "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":\"the\"}]}\n";

TEST(DataCommand, ShowsTheReportAndSamplesOnOneAndTwoRanks) {
  const Scratch scratch;
  put_folder(scratch / "model");
  put_file(scratch / "rows.jsonl", kRow + kRow + kRow + "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}\n");
  for (const int ranks : {0, 2}) {
    const Finished finished = expect_success(data(scratch, ranks, {}, {"--samples", "2"}));
    for (const char* text : {"rows.jsonl: 4 rows, JSONL, format chat, template tokenizer", "  1 dropped: no trained token",
                             "train: 3 samples", "training sample 1 of 3: ", "rows.jsonl, row 2 (position, id, label, token):",
                             "  trained  ▁the", "       2  trained  </s>", "       2  -        </s>"}) {
      EXPECT_EQ(count_of(finished.out, text) > 0, true) << text << "\n" << finished.out;
    }
    EXPECT_EQ(count_of(finished.out, "training sample "), 2) << finished.out;
    EXPECT_EQ(count_of(finished.out, "data.max_length is 1024, but the model has only 512"), 0);
    EXPECT_EQ(count_of(finished.err, "data.max_length is 1024, but the model has only 512"), 1) << finished.err;
  }
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(scratch.path())) {
    left.push_back(entry.path().filename().string());
  }
  std::sort(left.begin(), left.end());
  EXPECT_EQ(left, (std::vector<std::string>{"model", "rows.jsonl"}));  // nothing is written
}

/// The shown samples equal those of training.
TEST(DataCommand, ShowsWhatTrainingTrainsOn) {
  const Scratch scratch;
  const fs::path model = copy_of_model(scratch / "model");
  put_file(model / "chat_template.jinja", kTemplate);
  std::string rows;
  for (int i = 0; i < 8; ++i) {
    rows += kRow;
  }
  put_file(scratch / "rows.jsonl", rows);
  Settings settings = short_run(scratch / "out");
  settings["model.path"] = model.string();
  settings["data.train"] = toml_list({scratch / "rows.jsonl"});
  settings["train.max_steps"] = "2";
  settings["data.packing"] = "false";
  const Finished trained = expect_success(launch_of(settings, 2));
  const Finished shown = expect_success(launch_of(settings, 0, "data"));
  const auto report = [](const std::string& out) {
    const std::size_t begin = out.find("train: ");
    return out.substr(begin, out.find('\n', begin) - begin);
  };
  EXPECT_EQ(report(shown.out), report(trained.out));
  EXPECT_TRUE(report(shown.out).starts_with("train: 8 samples, ")) << shown.out;
  EXPECT_EQ(count_of(trained.out, "[["), 2) << trained.out;  // how it is marked, and where
  EXPECT_TRUE(trained.out.find("the</s>]]") != std::string::npos) << trained.out;
  EXPECT_EQ(column(read_lines(scratch / "out/metrics.jsonl"), "target_tokens")[0], 14);  // "the" and its end, seven times
}

TEST(DataCommand, WithJsonTheSamplesAloneArePrinted) {
  const Scratch scratch;
  put_folder(scratch / "model");
  put_file(scratch / "rows.jsonl", kRow + "\n" + kRow + kRow + "{\"text\": \"the\", \"context\": \"not used\"}\n");
  for (const int ranks : {0, 2}) {
    const Finished finished = expect_success(data(scratch, ranks, {}, {"--json", "--samples", "2"}));
    put_file(scratch / "out.jsonl", finished.out);
    const std::vector<nlohmann::json> lines = read_lines(scratch / "out.jsonl");
    ASSERT_EQ(lines.size(), 2U) << finished.out;
    EXPECT_EQ(lines[1]["file"], (scratch / "rows.jsonl").string());
    EXPECT_EQ(lines[1]["row"], 3);
    ASSERT_EQ(lines[1]["input_ids"].size(), lines[1]["labels"].size());
    EXPECT_EQ(lines[1]["labels"][0], -100);
    EXPECT_EQ(lines[1]["labels"].back(), 2);  // not shifted
    EXPECT_EQ(lines[1]["input_ids"].back(), 2);
    EXPECT_EQ(count_of(finished.err, "data.max_length is 1024"), 1);
  }
  EXPECT_EQ(count_of(expect_success(data(scratch, 0, {}, {"--json", "--samples", "9"})).out, "\n"), 4);
  const Finished hidden = expect_success(data(scratch, 0, {{"output.show_text", "false"}}, {"--json"}));
  EXPECT_EQ(hidden.out, "");
  EXPECT_EQ(count_of(hidden.err, "samples are not shown: output.show_text = false"), 1);
}

TEST(DataCommand, ANameThatIsNoUtf8IsToldAsFarAsItGoes) {
  const Scratch scratch;
  put_folder(scratch / "model");
  put_file(scratch / "caf\xE9.jsonl", kRow);
  const Launch launch = data(scratch, 0, {{"data.train", toml_list({scratch / "caf*.jsonl"})}}, {"--json"});
  EXPECT_EQ(count_of(expect_success(launch).out, "caf\uFFFD.jsonl\",\"row\":1,"), 1);
}

TEST(DataCommand, PatternsNameFilesAndTheHomeFolder) {
  const Scratch scratch;
  put_folder(scratch / "model");
  for (const char* name : {"part-1.jsonl", "part-2.jsonl", "part-10.jsonl"}) {
    put_file(scratch / name, kRow);
  }
  Launch launch = data(scratch, 2, {{"data.train", R"(["~/part-?.jsonl"])"}, {"model.path", "~/model"}});
  launch.environment["HOME"] = scratch.path().string();
  const Finished finished = expect_success(launch);
  EXPECT_EQ(count_of(finished.out, "train " + (scratch / "part-1.jsonl").string()), 1) << finished.out;
  EXPECT_EQ(count_of(finished.out, "part-10"), 0);
  EXPECT_EQ(count_of(finished.out, "train: 2 samples"), 1);
  expect_error_on_1_and_3_ranks(data(scratch, 1, {{"data.validation", R"("none-*.jsonl")"}, {"data.train", R"("part-*")"}}), 3,
                                {"data.validation: no file matches the pattern none-*.jsonl"});
}

/// The same list on any number of ranks, from the token cache too, and nothing of the rows in it.
TEST(DataCommand, BadRowsAreListedBesideTheRun) {
  const Scratch scratch;
  put_file(scratch / "rows.jsonl",
           "{\"input_ids\": [1, 5, 6]}\n{\"input_ids\": [1, 5, 6]}\nsecret\n{\"input_ids\": [1, 5, 6]}\n{\"input_ids\": 7}\n");
  Settings settings = short_run(scratch / "out");
  settings["data.train"] = toml_list({scratch / "rows.jsonl"});
  settings["data.bad_rows"] = "skip";
  settings["train.max_steps"] = "1";
  std::string first;
  for (const int ranks : {0, 3, 1}) {
    settings["output.dir"] = (scratch / ("out" + std::to_string(ranks))).string();
    settings["data.cache_dir"] = ranks == 1 ? (scratch / "out3/token_cache").string() : "";
    const Finished finished = expect_success(launch_of(settings, ranks));
    EXPECT_EQ(count_of(finished.out, "  1 row skipped: the line is not JSON"), 1) << finished.out;
    const std::string list = get_file(fs::path(settings["output.dir"]) / "bad_rows.jsonl");
    EXPECT_EQ(count_of(list, "secret"), 0);
    EXPECT_EQ(count_of(list, "\n"), 2);
    EXPECT_EQ(count_of(list, "rows.jsonl\",\"row\":3,\"reason\":\"the line is not JSON"), 1) << list;
    first = first.empty() ? list : first;
    EXPECT_EQ(list, first);
  }
  // An evaluation of other rows leaves the training's list alone.
  put_file(scratch / "good.jsonl", "{\"input_ids\": [1, 5, 6]}\n{\"input_ids\": [1, 5, 6]}\n");
  Settings other = settings;
  other["data.train"] = toml_list({scratch / "good.jsonl"});
  other["data.validation"] = other["data.train"];
  expect_success(launch_of(other, 1, "eval"));
  EXPECT_EQ(get_file(fs::path(settings["output.dir"]) / "bad_rows.jsonl"), first);
  settings["data.max_bad_rows"] = "1";
  expect_error_on_1_and_3_ranks(
      launch_of(settings, 1), 3,
      {"more rows are bad than data.max_bad_rows = 1 allows; one of them is ", "rows.jsonl:3: the line is not JSON"});
}

TEST(DataCommand, FailsAsTrainingWould) {
  const Scratch scratch;
  put_folder(scratch / "model");
  put_file(scratch / "rows.jsonl", kRow + "{\"messages\":[]}\n");
  expect_error_on_1_and_3_ranks(data(scratch, 1, {}), 3, {"rows.jsonl:2: messages must be a list"});
  expect_error(data(scratch, 1, {{"data.template", "llama9"}}), 2, {"data.template", "llama9"});
  put_file(scratch / "rows.jsonl", kRow);
  put_file(scratch / "model/chat_template.jinja", "{{ raise_exception('No') }}");
  expect_error(data(scratch, 1, {}), 3,
               {"rows.jsonl:1: the chat template refuses the conversation: No", "chat_template.jinja:1"});
  put_file(scratch / "model/chat_template.jinja", "{{ messages + 1 }}");
  expect_error(data(scratch, 1, {}), 4, {"chat_template.jinja:1: "});
  fs::remove(scratch / "model/chat_template.jinja");
  expect_error(data(scratch, 1, {{"data.template", "tokenizer"}}), 4, {"has no chat template"});
  fs::remove(scratch / "model/config.json");
  expect_error(data(scratch, 1, {}), 4, {"config.json"});
}

}  // namespace
}  // namespace lora_dist::program::data_command_test

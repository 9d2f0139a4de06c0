// Invalid data: exit code 3, naming file and line, on any number of ranks.
#include <gtest/gtest.h>

#include "tests/program/fixtures.h"

namespace lora_dist::program::data_errors_test {
namespace {

namespace fs = std::filesystem;

Launch train_on(const fs::path& data, const fs::path& output) {
  Settings settings = short_run(output);
  settings["data.train"] = toml_list({data});
  settings["train.max_steps"] = "1";
  settings["train.global_batch"] = "2";
  return launch_of(settings, 0);
}

struct Fault {
  std::string rows;
  std::vector<std::string> texts;
};

TEST(DataErrors, Rows) {
  const Scratch scratch;
  const std::string good = "{\"input_ids\":[1,2,3],\"labels\":[-100,2,3]}\n";
  const std::vector<Fault> faults = {
      {good + good + "{\"input_ids\": [1,\n", {":3: the line is not JSON"}},
      {"", {"holds no rows"}},
      {"\n \n", {"holds no rows"}},
      {good + "{\"input_ids\":[1,512],\"labels\":[1,2]}\n", {":2: input_ids[1] is 512", "vocabulary of 512"}},
      {good + "{\"input_ids\":[1,-1],\"labels\":[1,2]}\n", {":2: input_ids[1] is -1"}},
      {good + "{\"input_ids\":[1,2],\"labels\":[1,512]}\n", {":2: labels[1] is 512"}},
      {good + "{\"input_ids\":[1,2,3],\"labels\":[1,2]}\n", {":2: 2 labels for 3 input_ids"}},
      {"{\"input_ids\":[1,2],\"labels\":[-100,-100]}\n{\"input_ids\":[1,2],\"labels\":[2,-100]}\n",
       {"no training sample has a token to train on", "2 x"}},
      {"{\"colour\":\"red\"}\n", {":1", "1 key that is not known"}},
      {good + "\"just text\"\n", {":2"}},
  };
  for (const Fault& fault : faults) {
    put_file(scratch / "rows.jsonl", fault.rows);
    std::vector<std::string> texts = fault.texts;
    texts.push_back((scratch / "rows.jsonl").string());
    expect_error(train_on(scratch / "rows.jsonl", scratch / "out"), 3, texts);
  }
  put_file(scratch / "rows.jsonl", good + "nonsense\n");
  expect_error_on_1_and_3_ranks(train_on(scratch / "rows.jsonl", scratch / "out"), 3, {"rows.jsonl:2: the line is not JSON"});
  put_file(scratch / "rows.jsonl", "{\"input_ids\":[1,70000],\"labels\":[1,2]}\n");
  expect_error_on_1_and_3_ranks(train_on(scratch / "rows.jsonl", scratch / "out"), 3, {"input_ids[1] is 70000"});
  EXPECT_FALSE(fs::exists(scratch / "out/metrics.jsonl"));
}

TEST(DataErrors, Files) {
  const Scratch scratch;
  expect_error_on_1_and_3_ranks(train_on(scratch / "none.jsonl", scratch / "out"), 3,
                                {(scratch / "none.jsonl").string(), "No such file or directory"});
  put_file(scratch / "empty.jsonl", "");
  expect_error_on_1_and_3_ranks(train_on(scratch / "empty.jsonl", scratch / "out"), 3, {"empty.jsonl holds no rows"});
  expect_error(train_on(scratch.path(), scratch / "out"), 3, {scratch.path().string(), "it is a folder"});
}

/// One row without a trained token is left out and counted, not an error.
TEST(DataErrors, ARowWithoutATrainedTokenIsLeftOut) {
  const Scratch scratch;
  put_file(scratch / "rows.jsonl",
           "{\"input_ids\":[1,2,3],\"labels\":[-100,2,3]}\n{\"input_ids\":[1,2,3],\"labels\":[-100,-100,-100]}\n"
           "{\"input_ids\":[1,5,3],\"labels\":[-100,-100,3]}\n");
  const Finished finished = expect_success(train_on(scratch / "rows.jsonl", scratch / "out"));
  EXPECT_NE(finished.out.find("3 rows"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("train: 2 samples, 6 tokens, 3 trained"), std::string::npos) << finished.out;
  EXPECT_NE(finished.out.find("no trained token"), std::string::npos) << finished.out;
}

/// Text needs a tokenizer, ids do not.
TEST(DataErrors, TextWithoutATokenizer) {
  const Scratch scratch;
  put_file(scratch / "text.jsonl", "{\"text\":\"Once upon a time\"}\n");
  Settings settings = short_run(scratch / "out");
  settings["model.path"] = source("tests/golden/tiny_llama_bias").string();
  settings["data.train"] = toml_list({scratch / "text.jsonl"});
  expect_error_on_1_and_3_ranks(launch_of(settings, 1), 4, {"tokenizer"});
}

TEST(DataErrors, LinesThatScoreAndGenerateCannotRead) {
  const Scratch scratch;
  const auto command = [&](const std::string& name) {
    Launch launch;
    launch.arguments = {name,
                        "--model",
                        source("demo/model").string(),
                        "--input",
                        (scratch / "in.jsonl").string(),
                        "--output",
                        (scratch / "out.jsonl").string()};
    return launch;
  };
  const std::string good = "{\"id\":1,\"input_ids\":[1,2]}\n";
  const std::vector<Fault> faults = {{good + "{\"id\":2\n", {":2: is not a JSON object"}},
                                     {good + "{\"id\":2}\n", {":2: needs \""}},
                                     {good + "{\"input_ids\":[1,512]}\n", {":2: \"input_ids\" holds 512"}},
                                     {good + "{\"input_ids\":[]}\n", {":2: has no tokens"}},
                                     {good + "{\"input_ids\":[1.5]}\n", {":2: \"input_ids\" holds 1.5"}},
                                     {"", {"holds no lines"}}};
  for (const Fault& fault : faults) {
    put_file(scratch / "in.jsonl", fault.rows);
    expect_error(command("score"), 3, fault.texts);
  }
  put_file(scratch / "in.jsonl", good + "nonsense\n");
  expect_error_on_1_and_3_ranks(command("score"), 3, {"in.jsonl:2: is not a JSON object"});
  expect_error(command("generate"), 3, {"in.jsonl:2: is not a JSON object"});
  put_file(scratch / "in.jsonl", good + "{\"input_ids\":[1,2],\"labels\":[1]}\n");
  expect_error(command("score"), 3, {":2: has 1 labels for 2 input_ids"});
  fs::remove(scratch / "in.jsonl");
  expect_error_on_1_and_3_ranks(command("score"), 3, {"in.jsonl", "No such file or directory"});
  EXPECT_FALSE(fs::exists(scratch / "out.jsonl"));
}

}  // namespace
}  // namespace lora_dist::program::data_errors_test

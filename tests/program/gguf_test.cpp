// A GGUF file as the model of every command: the same numbers as the folder that it was made from, and what is wrong with one.
#include <gmock/gmock.h>

#include "tests/program/fixtures.h"
#include "tests/support/demo_gguf.h"

namespace lora_dist::program::gguf_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

std::vector<json> scores_of_story(const std::vector<std::string>& model, const fs::path& output) {
  return scores_of(model, source("tests/golden/stories260k/score_input.jsonl"), output);
}

Launch command(const std::vector<std::string>& arguments, int ranks = 0) {
  Launch launch;
  launch.arguments = arguments;
  launch.ranks = ranks;
  return launch;
}

const std::string kDemo = source("demo/model").string();

TEST(Gguf, ScoresAreThoseOfTheFolderToTheBit) {
  const Scratch scratch;
  fs::create_directory(scratch / "model");
  const std::string file = test::put_demo_gguf(scratch / "model/demo.gguf").string();
  for (const char* quantization : {"none", "nf4", "int8"}) {
    const auto folder = scores_of_story({"--model", kDemo, "--quantization", quantization}, scratch / "folder.jsonl");
    EXPECT_EQ(scores_of_story({"--model", file, "--quantization", quantization}, scratch / "gguf.jsonl"), folder);
  }
  put_file(scratch / "text.jsonl", R"({"id":1,"text":"Once upon a time, \uac00 12"})"
                                   "\n");
  const auto folder = scores_of({"--model", kDemo}, scratch / "text.jsonl", scratch / "folder.jsonl");
  EXPECT_EQ(scores_of({"--model", (scratch / "model").string()}, scratch / "text.jsonl", scratch / "gguf.jsonl"), folder);
}

TEST(Gguf, TrainingIsThatOnTheFolder) {
  const Scratch scratch;
  const std::string file = test::put_demo_gguf(scratch / "demo.gguf").string();
  for (const std::string& model : {kDemo, file}) {
    Settings settings = short_run(scratch / (model == file ? "gguf" : "folder"));
    settings["model.path"] = model;
    expect_success(launch_of(settings, model == file ? 3 : 2));
    settings["train.max_steps"] = "12";
    expect_success(launch_of(settings, 2));  // the checkpoint knows the base again
  }
  expect_same_training(scratch / "gguf", scratch / "folder");
}

TEST(Gguf, PartsOfASplitFile) {
  const Scratch scratch;
  for (std::uint16_t i = 0; i < 2; ++i) {
    test::GgufWriter part;
    part.raw_key("split.no", 2, test::bytes_of(i));
    part.raw_key("split.count", 2, test::bytes_of(std::uint16_t{2}));
    if (i == 0) {
      test::add_demo_keys(part);
      test::add_demo_vocabulary(part);
    }
    test::add_demo_tensors(part, i == 0 ? 0 : 20, i == 0 ? 20 : 1000);
    scratch.write("model/m-0000" + std::to_string(i + 1) + "-of-00002.gguf", part.content());
  }
  const std::string model = (scratch / "model").string();
  EXPECT_EQ(scores_of_story({"--model", model}, scratch / "gguf.jsonl"),
            scores_of_story({"--model", kDemo}, scratch / "folder.jsonl"));
  const std::string adapter = source("tests/golden/lora_steps/nf4_double_all_linear/final").string();
  expect_success(command({"merge", "--model", model, "--adapter", adapter, "--output", (scratch / "merged").string()}, 2));
  EXPECT_TRUE(fs::exists(scratch / "merged/model-00002-of-00002.safetensors"));
  expect_success(command({"merge", "--model", kDemo, "--adapter", adapter, "--output", (scratch / "other").string()}, 2));
  EXPECT_EQ(scores_of_story({"--model", (scratch / "merged").string()}, scratch / "a.jsonl"),
            scores_of_story({"--model", (scratch / "other").string()}, scratch / "b.jsonl"));
  fs::remove(scratch / "model/m-00002-of-00002.gguf");
  expect_error_on_1_and_3_ranks(
      command({"score", "--model", model, "--input", source("tests/golden/stories260k/score_input.jsonl"), "--output",
               (scratch / "x.jsonl").string()}),
      4, {"m-00002-of-00002.gguf is missing; copy it into the folder"});
}

/// Folders that are written from a GGUF file hold its configuration and tokenizer.
TEST(Gguf, MergeAndQuantizeWriteWholeFolders) {
  const Scratch scratch;
  const std::string file = test::put_demo_gguf(scratch / "demo.gguf").string();
  const std::string adapter = source("tests/golden/lora_steps/nf4_double_all_linear/final").string();
  put_file(scratch / "text.jsonl", "{\"id\":1,\"text\":\"Once upon a time\"}\n");
  const auto scores = [&](const std::vector<std::string>& model) {
    return scores_of(model, scratch / "text.jsonl", scratch / "out.jsonl");
  };
  for (const std::string& model : {file, kDemo}) {
    const fs::path output = scratch / (model == file ? "of_gguf" : "of_folder");
    expect_success(command({"merge", "--model", model, "--adapter", adapter, "--output", output.string()}));
    expect_success(command({"quantize", "--model", model, "--output", output.string() + "_nf4"}));
  }
  for (const char* each : {"", "_nf4"}) {
    EXPECT_EQ(scores({"--model", (scratch / "of_gguf").string() + each}),
              scores({"--model", (scratch / "of_folder").string() + each}));
  }
}

TEST(Gguf, PlanDataInspectAndGenerate) {
  const Scratch scratch;
  const std::string file = test::put_demo_gguf(scratch / "demo.gguf").string();
  Settings settings = short_run(scratch / "out");
  const std::string of_folder = expect_success(launch_of(settings, 0, "plan")).out;
  settings["model.path"] = file;
  const std::string planned = expect_success(launch_of(settings, 0, "plan")).out;
  EXPECT_EQ(memory_rows(planned), memory_rows(of_folder));
  expect_success(launch_of(settings, 0, "data"));
  const std::string shown = expect_success(command({"inspect", file, "--verify"})).out;
  EXPECT_THAT(shown, HasSubstr("of a GGUF file"));
  EXPECT_THAT(shown, HasSubstr("every tensor is there, in its shape, and can be read"));
  const auto story = [&](const std::string& model) {
    return expect_success(command({"generate", "--model", model, "--prompt", "Once upon a time", "--max-new-tokens", "20"})).out;
  };
  EXPECT_EQ(story(file), story(kDemo));
}

TEST(Gguf, WhatIsWrongWithAFile) {
  const Scratch scratch;
  const fs::path file = test::put_demo_gguf(scratch / "demo.gguf");
  Settings settings = short_run(scratch / "out");
  settings["model.path"] = file.string();
  const auto expect = [&](const std::vector<std::string>& texts) {
    expect_error_on_1_and_3_ranks(launch_of(settings, 0), 4, texts);
  };
  truncate_file(file, 0.9);
  expect({file.string(), "is not a sound GGUF file", "(truncated;", "copy or download it again"});
  test::GgufWriter incomplete;
  test::add_demo_keys(incomplete);
  test::add_demo_tensors(incomplete, 0, 40);
  put_file(file, incomplete.content());
  expect({file.string(), "tensor model.norm.weight is missing; the file is incomplete: download or convert it again"});
  test::GgufWriter narrow;
  test::add_demo_keys(narrow);
  narrow.tensor("output_norm.weight", {32}, 0, std::string(128, '\0'));
  test::add_demo_tensors(narrow, 0, 46);
  put_file(file, narrow.content());
  expect({file.string(), "tensor model.norm.weight has shape [32], the file's keys imply [64]"});
  test::GgufWriter matrix;
  matrix.text("general.type", "imatrix");
  put_file(file, matrix.content());
  expect({file.string(), "this is an importance matrix"});
  fs::create_directory(scratch / "model");
  test::put_demo_gguf(scratch / "model/other.gguf");
  test::put_demo_gguf(scratch / "model/demo.gguf");
  settings["model.path"] = (scratch / "model").string();
  expect({"holds several GGUF files (demo.gguf, other.gguf); name the one that is meant"});
}

}  // namespace
}  // namespace lora_dist::program::gguf_test

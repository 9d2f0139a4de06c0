// Invalid model folders, adapters and tokenizers: exit code 4, one sentence naming the file, on any number of ranks.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/program/fixtures.h"

namespace lora_dist::program::model_errors_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Launch train_on(const fs::path& model, const fs::path& output, const std::string& quantization = "nf4") {
  Settings settings = short_run(output);
  settings["model.path"] = model.string();
  settings["model.quantization"] = quantization;
  settings["train.max_steps"] = "1";
  return launch_of(settings, 0);
}

/// Changes members of the copy's config.json.
void set_config(const fs::path& model, const json& members) {
  json config = read_json(model / "config.json");
  config.update(members);
  put_file(model / "config.json", config.dump());
}

TEST(ModelErrors, MissingAndUnreadable) {
  const Scratch scratch;
  expect_error_on_1_and_3_ranks(train_on(scratch / "none", scratch / "out"), 4,
                                {(scratch / "none").string(), "no such model folder"});
  const fs::path model = copy_of_model(scratch / "model");
  put_file(model / "config.json", "{\"model_type\": ");
  expect_error(train_on(model, scratch / "out"), 4, {"config.json", "is not valid JSON"});
  copy_of_model(model);
  fs::remove(model / "model.safetensors");
  expect_error_on_1_and_3_ranks(train_on(model, scratch / "out"), 4, {model.string(), "neither model.safetensors nor"});
  copy_of_model(model);
  put_file(model / "tokenizer.json", "not a tokenizer");
  fs::remove(model / "tokenizer.model");
  expect_error_on_1_and_3_ranks(train_on(model, scratch / "out"), 4, {"tokenizer.json"});
}

TEST(ModelErrors, TruncatedSafetensors) {
  const Scratch scratch;
  const fs::path model = copy_of_model(scratch / "model");
  const std::vector<std::string> texts = {(model / "model.safetensors").string(), "is not a sound safetensors file"};
  for (const double part : {0.001, 0.000005, 0.0}) {
    copy_of_model(model);
    truncate_file(model / "model.safetensors", part);
    expect_error(train_on(model, scratch / "out"), 4, texts);
  }
  copy_of_model(model);
  truncate_file(model / "model.safetensors", 0.9);
  expect_error_on_1_and_3_ranks(train_on(model, scratch / "out"), 4, texts);
}

TEST(ModelErrors, LyingSafetensorsHeaders) {
  const Scratch scratch;
  const fs::path model = copy_of_model(scratch / "model");
  const fs::path file = model / "model.safetensors";
  const auto tensor = [](const char* shape, const char* offsets) {
    return std::string(R"({"model.norm.weight":{"dtype":"F32","shape":)") + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  struct Lie {
    std::string header;
    std::uint64_t length;
    std::string message;
  };
  const auto honest = [](const std::string& header, const std::string& message) { return Lie{header, header.size(), message}; };
  const std::string two =
      R"({"a":{"dtype":"F32","shape":[16],"data_offsets":[0,64]},"b":{"dtype":"F32","shape":[16],"data_offsets":[32,96]}})";
  for (const Lie& lie :
       {Lie{"{}", std::uint64_t{1} << 63, "its header claims 9223372036854775808 bytes"},
        Lie{"{}", std::numeric_limits<std::uint64_t>::max(), "its header claims"},
        Lie{"{}", 99999999, "its header claims 99999999 bytes and the file has"},
        honest(tensor("[1000000]", "[0,4000000]"), "truncated"), honest(tensor("[16]", "[0,128]"), "its shape and dtype need 64"),
        honest(tensor("[4611686018427387904,4]", "[0,96]"), "more than can be counted"),
        honest(tensor("[8]", "[64,32]"), "data_offsets"), honest(two, "overlap"),
        honest("{\"a\":" + std::string(100000, '['), "not valid JSON")}) {
    put_safetensors(file, lie.header, 96, lie.length);
    expect_error(train_on(model, scratch / "out"), 4, {file.string(), lie.message});
  }
  put_safetensors(file, "{}", 96, std::uint64_t{1} << 63);
  expect_error_on_1_and_3_ranks(train_on(model, scratch / "out"), 4,
                                {file.string(), "its header claims 9223372036854775808 bytes"});
}

TEST(ModelErrors, ShapesThatConfigJsonDoesNotImply) {
  const Scratch scratch;
  const fs::path model = copy_of_model(scratch / "model");
  set_config(model, {{"hidden_size", 32}});
  expect_error_on_1_and_3_ranks(train_on(model, scratch / "out"), 4, {"model.embed_tokens.weight", "[512, 64]", "[512, 32]"});
  copy_of_model(model);
  set_config(model, {{"num_hidden_layers", 6}});
  expect_error(train_on(model, scratch / "out"), 4, {"model.layers.5.", "is missing"});
  copy_of_model(model);
  set_config(model, {{"hidden_size", 2147483648}, {"intermediate_size", 2147483648}});
  expect_error(train_on(model, scratch / "out"), 4, {"model.embed_tokens.weight"});
  copy_of_model(model);
  set_config(model, {{"model_type", "mamba"}});
  expect_error(train_on(model, scratch / "out"), 4, {"config.json", "model_type \"mamba\" is not supported"});
}

/// The lines of warning about a folder.
int warnings_about(const Finished& finished, const fs::path& model, const std::string& text) {
  return count_of(finished.err, "lora_dist: warning: " + model.string() + text);
}

TEST(ModelErrors, BlocksThatConfigJsonDoesNotCountAreWarnedOfOnce) {
  const Scratch scratch;
  const fs::path model = copy_of_model(scratch / "model");
  set_config(model, {{"num_hidden_layers", 3}});
  const std::string warning =
      ": 18 of its tensors are not used; the first is model.layers.3.input_layernorm.weight, and config.json says 3 blocks\n";
  for (const int ranks : {1, 3}) {
    Launch launch = train_on(model, scratch / ("out" + std::to_string(ranks)));
    launch.ranks = ranks;
    launch.arguments.insert(launch.arguments.end(), {"--set", "train.warmup_ratio=0"});
    const Finished finished = expect_success(launch);
    EXPECT_EQ(warnings_about(finished, model, warning), 1) << finished.err;
    EXPECT_EQ(count_of(finished.err, "warning"), 1) << finished.err;
  }
  Launch other;
  other.arguments = {"inspect", model.string()};
  EXPECT_EQ(warnings_about(expect_success(other), model, warning), 1);
  const std::string rows = scratch.write("rows.jsonl", "{\"input_ids\":[1,2,3]}\n").string();
  const std::vector<std::string> merge = {"merge",
                                          "--model",
                                          model.string(),
                                          "--adapter",
                                          (scratch / "out1/adapter").string(),
                                          "--output",
                                          (scratch / "merged").string()};
  other.arguments = merge;
  EXPECT_EQ(count_of(expect_success(other).err, "warning"), 1);
  other.arguments = merge;
  other.arguments.back() = (scratch / "merged2").string();
  other.arguments.insert(other.arguments.end(), {"--text", rows});
  const Finished compared = expect_success(other);  // scores three models
  EXPECT_EQ(warnings_about(compared, model, warning), 1) << compared.err;
  EXPECT_EQ(count_of(compared.err, "warning"), 1) << compared.err;
}

TEST(ModelErrors, AnIndexThatDoesNotTellTheTruth) {
  const Scratch scratch;
  const fs::path model = scratch / "model";
  fs::copy(source("tests/golden/tiny_llama_bias"), model, fs::copy_options::recursive);
  const fs::path index = model / "model.safetensors.index.json";
  const json honest = read_json(index);
  const std::string name = "model.layers.0.mlp.up_proj.weight";
  const std::string file = honest["weight_map"][name];
  const fs::path rows = source("tests/golden/tiny_llama_bias/score_input.jsonl");
  const std::vector<json> expected = scores_of({"--model", model.string()}, rows, scratch / "scores.jsonl");

  json silent = honest;
  silent["weight_map"].erase(name);
  put_file(index, silent.dump());
  Launch launch;
  launch.arguments = {
      "score", "--model", model.string(), "--input", rows.string(), "--output", (scratch / "scores.jsonl").string()};
  for (const int ranks : {1, 3}) {
    launch.ranks = ranks;
    const Finished finished = expect_success(launch);
    EXPECT_EQ(
        count_of(finished.err, "warning: " + index.string() + " leaves out 1 tensor of the files that it names; the first is " +
                                   name + " in " + file + ". They are read like the others\n"),
        1)
        << finished.err;
    EXPECT_EQ(count_of(finished.err, "warning"), 1) << finished.err;
    EXPECT_EQ(column(read_lines(scratch / "scores.jsonl"), "logprobs"), column(expected, "logprobs"));
  }

  json lying = honest;
  const std::string other =
      file == "model-00001-of-00002.safetensors" ? "model-00002-of-00002.safetensors" : "model-00001-of-00002.safetensors";
  lying["weight_map"][name] = other;
  put_file(index, lying.dump());
  launch.ranks = 0;
  expect_error_on_1_and_3_ranks(launch, 4,
                                {index.string() + " puts tensor " + name + " in " + other + ", which does not have it"});
}

TEST(ModelErrors, ATokenizerLargerThanTheEmbedding) {
  const Scratch scratch;
  fs::copy(source("tests/golden/tiny_llama_bias"), scratch / "model", fs::copy_options::recursive);
  fs::copy_file(source("demo/model/tokenizer.json"), scratch / "model/tokenizer.json");
  expect_error_on_1_and_3_ranks(train_on(scratch / "model", scratch / "out"), 4,
                                {"tokenizer.json", "ids up to 511", "the embedding only 131 rows"});
  const std::string model = (scratch / "model").string();
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"inspect", model}, {"quantize", "--model", model, "--output", (scratch / "store").string()}}) {
    Launch launch;
    launch.arguments = arguments;
    expect_error(launch, 4, {"tokenizer.json", "ids up to 511", "the embedding only 131 rows"});
  }
  EXPECT_FALSE(fs::exists(scratch / "store"));
}

TEST(ModelErrors, ATokenBeyondTheEmbedding) {
  const Scratch scratch;
  const fs::path model = copy_of_model(scratch / "model");
  nlohmann::json config = nlohmann::json::parse(std::ifstream(model / "tokenizer_config.json"));
  config["pad_token"] = "[PAD]";
  put_file(model / "tokenizer_config.json", config.dump());
  put_file(scratch / "in.jsonl", R"({"text": "a"})"
                                 "\n"
                                 R"({"text": "a [PAD]"})"
                                 "\n");
  Launch launch;
  launch.arguments = {"generate", "--model", model.string(), "--prompt", "hi [PAD]", "--max-new-tokens", "1"};
  expect_error(launch, 3, {"--prompt: the tokenizer gives the id 512, outside the model's vocabulary of 512 tokens"});
  launch.arguments[4] = "hi";
  expect_success(launch);
  launch.arguments = {"score",
                      "--model",
                      model.string(),
                      "--input",
                      (scratch / "in.jsonl").string(),
                      "--output",
                      (scratch / "out.jsonl").string()};
  expect_error(launch, 3, {"in.jsonl:2: the tokenizer gives the id 512"});
}

/// Every kind of tensor, with and without quantization: each rank reads only a part of the base.
TEST(ModelErrors, WeightsThatAreNotFinite) {
  const Scratch scratch;
  const fs::path model = copy_of_model(scratch / "model");
  const fs::path file = model / "model.safetensors";
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<std::pair<const char*, float>> faults = {{"model.embed_tokens.weight", nan},
                                                             {"model.layers.3.mlp.down_proj.weight", nan},
                                                             {"model.layers.0.self_attn.q_proj.weight", infinity},
                                                             {"model.layers.4.input_layernorm.weight", -infinity}};
  int number = 0;
  for (const auto& [name, value] : faults) {
    copy_of_model(model);
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    put_bytes_at(file, offset_of_tensor(file, name) + 40, bytes);
    for (const char* quantization : {"none", "nf4"}) {
      Launch launch = train_on(model, scratch / "out", quantization);
      launch.ranks = ++number % 3 == 0 ? 0 : 3;
      expect_error(launch, 4, {file.string(), name, "NaN or infinity"});
    }
  }
}

TEST(ModelErrors, AdaptersThatDoNotFit) {
  const Scratch scratch;
  put_file(scratch / "in.jsonl", "{\"input_ids\":[1,2]}\n");
  const auto score = [&](const fs::path& adapter) {
    Launch launch;
    launch.arguments = {"score",
                        "--model",
                        source("demo/model").string(),
                        "--adapter",
                        adapter.string(),
                        "--input",
                        (scratch / "in.jsonl").string(),
                        "--output",
                        (scratch / "out.jsonl").string()};
    return launch;
  };
  expect_error_on_1_and_3_ranks(score(source("tests/golden/tiny_llama_bias/adapter")), 4, {"tiny_llama_bias/adapter"});
  expect_error(score(scratch / "none"), 4, {(scratch / "none").string(), "is not a folder"});
  fs::copy(source("tests/golden/lora_steps/init_qv"), scratch / "adapter");
  truncate_file(scratch / "adapter/adapter_model.safetensors", 0.5);
  expect_error(score(scratch / "adapter"), 4,
               {(scratch / "adapter/adapter_model.safetensors").string(), "is not a sound safetensors file"});
  EXPECT_FALSE(fs::exists(scratch / "out.jsonl"));
  EXPECT_FALSE(fs::exists(scratch / "out.jsonl.part"));
}

TEST(ModelErrors, KeysThatContradictInitFrom) {
  const Scratch scratch;
  Settings settings = short_run(scratch / "out");
  settings["adapter.init_from"] = source("tests/golden/lora_steps/init_qv").string();
  expect_error_on_1_and_3_ranks(launch_of(settings, 1), 2, {"adapter.r is 4", "has 8", "leave the key out"});
}

}  // namespace
}  // namespace lora_dist::program::model_errors_test

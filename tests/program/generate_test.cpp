// lora_dist generate: the reference's greedy ids, and reproducible sampling, on one rank and on two.
#include <gtest/gtest.h>

#include "tests/program/fixtures.h"

namespace lora_dist::program::generate_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

Launch generate(int ranks, const std::vector<std::string>& options, const fs::path& model = source("demo/model")) {
  Launch launch;
  launch.ranks = ranks;
  launch.arguments = {"generate", "--model", model.string()};
  launch.arguments.insert(launch.arguments.end(), options.begin(), options.end());
  return launch;
}

TEST(Generate, GreedyIdsAreThoseOfTheReferenceOnOneAndTwoRanks) {
  const json reference = read_json(source("tests/golden/stories260k/reference_run_c.json"))["greedy_from_bos"]["ids"];
  ASSERT_EQ(reference.size(), 257U);  // BOS and 256 more
  const Scratch scratch;
  put_file(scratch / "in.jsonl", "{\"id\":\"bos\",\"input_ids\":[1]}\n");
  for (const int ranks : {1, 2}) {
    const fs::path output = scratch / std::to_string(ranks);
    expect_success(
        generate(ranks, {"--input", (scratch / "in.jsonl").string(), "--output", output.string(), "--max-new-tokens", "256"}));
    const std::vector<json> lines = read_lines(output);
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_EQ(lines[0]["id"], "bos");
    EXPECT_EQ(lines[0]["output_ids"], json(std::vector<int>(reference.begin() + 1, reference.end())));
  }
}

TEST(Generate, PrintsThePromptAndItsContinuation) {
  const Finished finished = expect_success(generate(2, {"--prompt", "Once upon a time", "--max-new-tokens", "20"}));
  EXPECT_TRUE(finished.out.starts_with("Once upon a time")) << finished.out;
  EXPECT_GT(finished.out.size(), std::string("Once upon a time").size() + 10) << finished.out;
  EXPECT_EQ(count_of(finished.out, "Once upon a time"), 1) << finished.out;
}

TEST(Generate, SamplesAreRepeatedByTheirSeedOnAnyRanks) {
  const auto sample = [](int ranks, const char* seed) {
    return expect_success(generate(ranks, {"--prompt", "Once upon a time", "--max-new-tokens", "40", "--temperature", "1",
                                           "--top-p", "0.9", "--top-k", "50", "--seed", seed}))
        .out;
  };
  const std::string text = sample(1, "7");
  EXPECT_EQ(sample(1, "7"), text);
  EXPECT_EQ(sample(2, "7"), text);
  EXPECT_NE(sample(1, "8"), text);
}

/// B of a PEFT adapter is zero before training: the same answers; one that was trained: others.
TEST(Generate, TakesAnAdapter) {
  const fs::path golden = source("tests/golden/lora_steps");
  const auto answer = [](const std::vector<std::string>& more) {
    std::vector<std::string> options = {"--prompt", "Tom", "--max-new-tokens", "60"};
    options.insert(options.end(), more.begin(), more.end());
    return expect_success(generate(1, options)).out;
  };
  const std::string base = answer({});
  EXPECT_EQ(answer({"--adapter", (golden / "init_all_linear").string()}), base);
  EXPECT_NE(answer({"--adapter", (golden / "fp32_all_linear/final").string()}), base);
}

TEST(Generate, AnswersTextPromptsOfAFile) {
  const Scratch scratch;
  put_file(scratch / "in.jsonl", "{\"prompt\":\"Once upon a time\"}\n\n{\"id\":\"b\",\"text\":\"Tom and\"}\n");
  const Finished finished = expect_success(generate(2, {"--input", (scratch / "in.jsonl").string(), "--max-new-tokens", "5"}));
  put_file(scratch / "out.jsonl", finished.out);
  const std::vector<json> lines = read_lines(scratch / "out.jsonl");
  ASSERT_EQ(lines.size(), 2U) << finished.out;
  EXPECT_EQ(lines[0]["id"], 1);
  EXPECT_EQ(lines[0]["prompt"], "Once upon a time");
  EXPECT_EQ(lines[0]["output_ids"].size(), 5U);
  EXPECT_EQ(lines[1]["id"], "b");
  EXPECT_TRUE(lines[1]["text"].is_string());
  // As on the screen: with the space that the first word has.
  const std::string screen = expect_success(generate(1, {"--prompt", "Once upon a time", "--max-new-tokens", "5"})).out;
  EXPECT_EQ("Once upon a time" + lines[0]["text"].get<std::string>() + "\n", screen);
}

TEST(Generate, RefusesToWriteOverItsInput) {
  const Scratch scratch;
  const std::string file = (scratch / "in.jsonl").string();
  put_file(file, "{\"prompt\":\"Once\"}\n");
  expect_error(generate(1, {"--input", file, "--output", file, "--max-new-tokens", "2"}), 2,
               {file, "would be written over --input"});
  EXPECT_EQ(read_lines(file).size(), 1U);
}

TEST(Generate, NamesTheLineOfAPromptThatIsTooLong) {
  const Scratch scratch;
  std::string ids = "3";
  for (int i = 0; i < 600; ++i) {
    ids += ",4";
  }
  put_file(scratch / "in.jsonl", "{\"prompt\":\"Once\"}\n{\"input_ids\":[" + ids + "]}\n");
  expect_error(generate(1, {"--input", (scratch / "in.jsonl").string()}), 3,
               {"in.jsonl:2: the prompt has 601 tokens, the model only 512 positions"});
}

/// The demo with a chat template under which its own way of telling stories is an answer.
fs::path chat_model(const Scratch& scratch) {
  const fs::path model = copy_of_model(scratch / "model");
  put_file(model / "chat_template.jinja",
           "{{ bos_token }}{% if tools %}{{ tools[0].name ~ ' ' }}{% endif %}{% for m in messages %}{{ m.content }}"
           "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}");
  return model;
}

TEST(Generate, PutsAMessageIntoTheChatTemplate) {
  const Scratch scratch;
  const fs::path model = chat_model(scratch);
  const std::string plain = expect_success(generate(1, {"--prompt", "Once upon a time", "--max-new-tokens", "20"})).out;
  const Finished chat = expect_success(generate(2, {"--chat", "--prompt", "Once upon a time", "--max-new-tokens", "20"}, model));
  EXPECT_EQ("Once upon a time" + chat.out, plain);  // the same ids, and the answer alone is printed
}

TEST(Generate, AnswersConversationsOfAFile) {
  const Scratch scratch;
  const fs::path model = chat_model(scratch);
  put_file(scratch / "in.jsonl", R"({"id":"a","messages":[{"role":"user","content":"Once upon a time"}]})"
                                 "\n"
                                 R"({"prompt":"Once upon a time"})"
                                 "\n"
                                 R"({"messages":[{"role":"user","content":"upon"}],"tools":[{"name":"Once"}]})"
                                 "\n");
  const auto answers = [&](const std::vector<std::string>& more) {
    std::vector<std::string> options = {"--input",  (scratch / "in.jsonl").string(), "--max-new-tokens", "5",
                                        "--output", (scratch / "out.jsonl").string()};
    options.insert(options.end(), more.begin(), more.end());
    expect_success(generate(1, options, model));
    return read_lines(scratch / "out.jsonl");
  };
  const std::vector<json> lines = answers({});
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0]["id"], "a");
  EXPECT_EQ(lines[0]["prompt"], "<s>Once upon a time");
  EXPECT_EQ(lines[1]["prompt"], "Once upon a time");
  EXPECT_EQ(lines[2]["prompt"], "<s>Once upon");
  EXPECT_EQ(lines[0]["input_ids"], lines[1]["input_ids"]);  // BOS is there once
  EXPECT_EQ(lines[0]["output_ids"], lines[1]["output_ids"]);
  EXPECT_EQ(answers({"--chat"})[1]["prompt"], "<s>Once upon a time");
}

TEST(Generate, StopsAtTheEndOfATurn) {
  const Scratch scratch;
  const fs::path model = copy_of_model(scratch / "model");
  // A turn ends where the model would say "there" after "Once upon a time, ".
  json tokenizer = read_json(model / "tokenizer.json");
  const json plain = read_json(source("tests/golden/stories260k/reference_run_c.json"))["greedy_from_bos"]["ids"];
  const int end = plain[6].get<int>();
  std::string content;
  for (const auto& [token, id] : tokenizer["model"]["vocab"].items()) {
    content = id == end ? token : content;
  }
  tokenizer["added_tokens"].push_back({{"id", end},
                                       {"content", content},
                                       {"single_word", false},
                                       {"lstrip", false},
                                       {"rstrip", false},
                                       {"normalized", false},
                                       {"special", true}});
  put_file(model / "tokenizer.json", tokenizer.dump());
  put_file(model / "chat_template.jinja", "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}{{ m.content ~ '" +
                                              content +
                                              "' }}{% endif %}"
                                              "{% endfor %}");
  put_file(scratch / "in.jsonl", R"({"messages":[{"role":"user","content":"x"}]})"
                                 "\n");
  put_file(scratch / "ids.jsonl", "{\"input_ids\":[1]}\n");
  const auto output = [&](const char* name) {
    expect_success(generate(
        1, {"--input", (scratch / name).string(), "--output", (scratch / "out.jsonl").string(), "--max-new-tokens", "20"},
        model));
    return read_lines(scratch / "out.jsonl")[0]["output_ids"];
  };
  const json chat = output("in.jsonl");
  const json ids = output("ids.jsonl");
  EXPECT_EQ(ids.size(), 20U);
  ASSERT_LT(chat.size(), 20U) << chat << ids;
  EXPECT_EQ(chat, json(std::vector<json>(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(chat.size()))));
}

TEST(Generate, ChatErrors) {
  const Scratch scratch;
  expect_error(generate(1, {"--chat", "--prompt", "Hi"}), 4, {"demo/model has no chat template"});
  put_file(scratch / "in.jsonl", R"({"messages":[{"role":"user","content":"Hi"}]})"
                                 "\n");
  expect_error(generate(1, {"--input", (scratch / "in.jsonl").string()}), 4, {"demo/model has no chat template"});
  put_file(scratch / "in.jsonl", R"({"messages":[{"role":"user"}]})"
                                 "\n");
  expect_error(generate(1, {"--input", (scratch / "in.jsonl").string()}), 3, {"in.jsonl:1, message 1: \"content\" is missing"});
}

/// transformers' generate() under the same generation_config.json, greedily.
TEST(Generate, FollowsTheFoldersGenerationConfig) {
  const Scratch scratch;
  const fs::path model = copy_of_model(scratch / "model");
  for (const json& golden : read_json(source("tests/golden/generation.json"))) {
    put_file(model / "generation_config.json", golden["generation_config"].dump());
    put_file(scratch / "in.jsonl", json({{"input_ids", golden["input_ids"]}}).dump() + "\n");
    const auto answer = [&](const std::vector<std::string>& more) {
      std::vector<std::string> options = {"--input", (scratch / "in.jsonl").string(), "--max-new-tokens", "24"};
      options.insert(options.end(), more.begin(), more.end());
      return json::parse(expect_success(generate(1, options, model)).out)["output_ids"];
    };
    EXPECT_EQ(answer({}), golden["output_ids"]) << golden["generation_config"];
    EXPECT_EQ(answer({"--ignore-generation-config"}).size(), 24U);
  }
}

TEST(Generate, SaysThatItSamplesAsTheFolderDoes) {
  const Scratch scratch;
  const fs::path model = copy_of_model(scratch / "model");
  put_file(model / "generation_config.json", R"({"do_sample":true,"temperature":0.6,"top_p":0.9,"num_beams":2})");
  const auto said = [&](const std::vector<std::string>& more) {
    std::vector<std::string> options = {"--prompt", "Tom", "--max-new-tokens", "5"};
    options.insert(options.end(), more.begin(), more.end());
    return expect_success(generate(2, options, model)).err;
  };
  const std::string with = said({});
  EXPECT_EQ(count_of(with,
                     "note: text is generated as generation_config.json says: temperature 0.6, top_p 0.9, top_k 50 "
                     "(--ignore-generation-config: the most probable token)"),
            1)
      << with;
  EXPECT_EQ(count_of(with, "num_beams is not used when text is generated"), 1) << with;
  EXPECT_EQ(said({"--ignore-generation-config"}), "");
  EXPECT_EQ(count_of(said({"--temperature", "0"}), "generation_config.json says"), 0);
  fs::remove(model / "generation_config.json");
  json config = read_json(model / "config.json");
  config["repetition_penalty"] = 3.0;
  put_file(model / "config.json", config.dump());
  EXPECT_EQ(count_of(said({}), "note: text is generated as config.json says: repetition_penalty 3"), 1);
}

/// The answers at the end of a training are made as `generate` makes them; a damaged file is told before the first step.
TEST(Generate, AnswersOfATrainingFollowTheGenerationConfigToo) {
  const Scratch scratch;
  const fs::path model = copy_of_model(scratch / "model");
  put_file(scratch / "qa.jsonl", "{\"question\":\"a\",\"answer\":\"b\"}\n{\"question\":\"c\",\"answer\":\"d\"}\n");
  Settings settings = short_run(scratch / "out");
  settings["model.path"] = model.string();
  settings["data.train"] = toml_list({scratch / "qa.jsonl"});
  settings["data.validation_split"] = "0.5";
  settings["train.max_steps"] = "1";
  settings["train.warmup_ratio"] = "0";
  settings["checkpoint.resume"] = "never";
  put_file(model / "generation_config.json", R"({"do_sample":true,"temperature":0.7,"num_beams":2})");
  const Finished sampled = expect_success(launch_of(settings, 2));
  EXPECT_EQ(count_of(sampled.out, "answers    temperature 0.7, top_k 50 (generation_config.json)"), 1) << sampled.out;
  EXPECT_EQ(count_of(sampled.err, "num_beams is not used when text is generated"), 1) << sampled.err;
  EXPECT_EQ(count_of(sampled.out, "\nprompt    | "), 1);
  put_file(model / "generation_config.json", R"({"eos_token_id":"</s>"})");
  settings["output.dir"] = (scratch / "damaged").string();
  expect_error(launch_of(settings, 2), 4, {"generation_config.json: key \"eos_token_id\" must be an integer"});
  EXPECT_FALSE(fs::exists(scratch / "damaged/metrics.jsonl"));
}

}  // namespace
}  // namespace lora_dist::program::generate_test

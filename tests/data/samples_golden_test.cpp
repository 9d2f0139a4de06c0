// Ids and labels of every built-in template against Hugging Face's tokenizers (tests/golden/make_data_golden.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "src/data/tokenize.h"
#include "tests/data/load.h"

namespace lora_dist {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json golden() { return json::parse(std::ifstream(source_dir() / "tests/golden/data_samples.json")); }

/// The demo's tokenizer with <|im_start|> and <|im_end|>.
Tokenizer with_marks() {
  json document = json::parse(std::ifstream(demo_model() / "tokenizer.json"));
  const json all = golden();
  for (const json& token : all["added_tokens"]) {
    document["added_tokens"].push_back(token);
  }
  const Scratch folder;
  folder.write("tokenizer.json", document.dump());
  return open_tokenizer(folder.path());
}

TEST(SamplesGolden, IdsAndLabels) {
  const Tokenizer tokenizer = with_marks();
  const json all = golden();
  ASSERT_EQ(all["samples"].size(), 11U);
  for (const json& one : all["samples"]) {
    SCOPED_TRACE(one["name"].get<std::string>());
    DataOptions options = without_split();
    options.template_name = one["template"];
    const Dataset dataset = load("x.jsonl", one["row"].dump(), options, &tokenizer, 514);
    ASSERT_EQ(dataset.train.size(), 1U);
    EXPECT_EQ(copy_of(dataset.train[0].input_ids), one["input_ids"].get<std::vector<std::int32_t>>());
    EXPECT_EQ(copy_of(dataset.train[0].labels), one["labels"].get<std::vector<std::int32_t>>());
    EXPECT_EQ(dataset.report.files[0].template_name, one["template"].get<std::string>());
  }
}

TEST(SamplesGolden, TrainOnAllTrainsEverythingButBos) {
  const json all = golden();
  DataOptions options = without_split();
  options.train_on = "all";
  const Dataset dataset = load("x.jsonl", all["samples"][2]["row"].dump(), options);
  const Sample& sample = dataset.train[0];
  EXPECT_EQ(sample.labels[0], kNotTrained);
  EXPECT_TRUE(std::equal(sample.labels.begin() + 1, sample.labels.end(), sample.input_ids.begin() + 1));
}

TEST(Templates, AutoFollowsTheRowsAndTheTokenizer) {
  const Tokenizer marks = with_marks();
  const Tokenizer& plain = demo_tokenizer();
  EXPECT_EQ(choose_template("auto", RowKind::alpaca, marks), "alpaca");
  EXPECT_EQ(choose_template("auto", RowKind::qa, marks), "qa");
  EXPECT_EQ(choose_template("auto", RowKind::chat, marks), "chatml");
  EXPECT_EQ(choose_template("auto", RowKind::chat, plain), "plain");
  EXPECT_EQ(choose_template("qa", RowKind::text, plain), "none");
  EXPECT_EQ(choose_template("auto", RowKind::ids, plain), "none");
  EXPECT_EQ(choose_template("plain", RowKind::alpaca, plain), "plain");
  EXPECT_EQ(choose_template("tokenizer", RowKind::qa, plain), "tokenizer");
  EXPECT_EQ(choose_template("tokenizer", RowKind::text, plain), "none");
  EXPECT_EQ(choose_template("auto", RowKind::marked_text, plain), "none");
  EXPECT_EQ(choose_template("plain", RowKind::qa_text, plain), "none");
  Tokenizer chats = marks;
  chats.has_chat_template = true;
  EXPECT_EQ(choose_template("auto", RowKind::chat, chats), "tokenizer");
  EXPECT_EQ(choose_template("chatml", RowKind::chat, chats), "chatml");
  EXPECT_EQ(choose_template("auto", RowKind::alpaca, chats), "alpaca");
}

TEST(Templates, WhatIsRefused) {
  const auto error = [](const char* name, RowKind kind) {
    return error_from([&] { choose_template(name, kind, demo_tokenizer()); });
  };
  EXPECT_THAT(error("llama9", RowKind::text),
              HasSubstr("2: data.template = \"llama9\" is none of auto, alpaca, qa, chatml, plain, tokenizer"));
  EXPECT_THAT(error("qa", RowKind::chat), HasSubstr("has one question and one answer, but the rows are chats"));
  EXPECT_THAT(error("alpaca", RowKind::chat), HasSubstr("2: data.template = \"alpaca\""));
}

TEST(Templates, EndOfTextIsNotDoubled) {
  const Dataset dataset = load("x.jsonl", R"({"question": "a", "answer": "b</s>"})", without_split());
  const auto& ids = dataset.train[0].input_ids;
  EXPECT_EQ(ids.back(), 2);
  EXPECT_NE(ids[ids.size() - 2], 2);
  EXPECT_EQ(dataset.train[0].labels.back(), 2);
}

}  // namespace
}  // namespace lora_dist

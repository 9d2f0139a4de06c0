// Training flags, as OpenAI, mistral-finetune, axolotl, verl, ms-swift, LLaMA-Factory and TRL define them.
#include "src/data/train_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/data/chat_rows.h"
#include "src/io/strict_json.h"
#include "tests/data/load.h"

namespace lora_dist::train_flags_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr MessageTraining kByRole = MessageTraining::by_role;
constexpr MessageTraining kNo = MessageTraining::no;
constexpr MessageTraining kYes = MessageTraining::yes;

/// Two exchanges; `wrong` and `right` are members of the answers, `asked` of the last question.
std::string chat(const std::string& wrong, const std::string& right = "", const std::string& asked = "",
                 const std::string& row = "") {
  return R"({"messages": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "Wrong.")" + wrong +
         R"(}, {"role": "user", "content": "b?")" + asked + R"(}, {"role": "assistant", "content": "Right.")" + right + "}]" +
         row + "}";
}

std::string share_gpt(const std::string& wrong, const std::string& right = "") {
  return R"({"conversations": [{"from": "human", "value": "a?"}, {"from": "gpt", "value": "Wrong.")" + wrong +
         R"(}, {"from": "human", "value": "b?"}, {"from": "gpt", "value": "Right.")" + right + "}]}";
}

ChatRow read(const std::string& row) { return read_chat_row(parse_ordered_json(row), "here"); }
std::string error_of(const std::string& row) {
  return error_from([&] { load("x.jsonl", row, without_split()); });
}
std::int64_t trained(const std::string& row, const char* template_name = "auto") {
  DataOptions options = without_split();
  options.row_template = template_named(template_name);
  return load("x.jsonl", row, options).report.train.trained_tokens;
}

TEST(TrainFlags, ZeroAndFalseAreNotTrained) {
  EXPECT_EQ(trained(chat("")), 14);
  for (const std::string key : {"weight", "train", "trainable", "loss_mask", "loss"}) {
    for (const std::string no : {"0", "0.0", "false"}) {
      for (const std::string& yes :
           {std::string(), ", \"" + key + "\": 1", ", \"" + key + "\": true", ", \"" + key + "\": null"}) {
        EXPECT_EQ(trained(chat(", \"" + key + "\": " + no, yes)), 7) << key << no << yes;  // "Right." and EOS
        EXPECT_EQ(trained(share_gpt(", \"" + key + "\": " + no, yes)), 7) << key << no << yes;
      }
    }
  }
  EXPECT_EQ(trained(chat(", \"mask\": 0", ", \"mask\": 1")), 7);
}

TEST(TrainFlags, ChangeNoToken) {
  for (const char* name : {"plain", "chatml"}) {
    for (const TrainOn train_on : {TrainOn::completion, TrainOn::all}) {
      DataOptions options = without_split();
      options.row_template = template_named(name);
      options.train_on = train_on;
      const auto ids = [&](const std::string& row) { return first_sample(load("x.jsonl", row, options)).input_ids; };
      EXPECT_EQ(ids(chat(", \"weight\": 0", ", \"loss_mask\": 1")), ids(chat(""))) << name << word_of(kTrainOn, train_on);
      EXPECT_EQ(ids(chat("", ", \"weight\": 0")), ids(chat(""))) << name << word_of(kTrainOn, train_on);
      EXPECT_EQ(ids(R"({"prompt": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "Wrong."},)"
                    R"({"role": "user", "content": "b?"}], "completion": [{"role": "assistant", "content": "Right."}]})"),
                ids(chat("")))
          << name << word_of(kTrainOn, train_on);
    }
  }
  EXPECT_EQ(trained(chat(", \"weight\": 0", "", ", \"loss_mask\": 0")), 7);
  EXPECT_EQ(first_sample(load("x.jsonl", chat(", \"weight\": 0", "", ", \"loss_mask\": 0"), without_split())).input_ids,
            first_sample(load("x.jsonl", chat(""), without_split())).input_ids);
}

TEST(TrainFlags, AreTakenOutOfTheMessage) {
  const ChatRow row = read(chat(", \"weight\": 0, \"name\": \"z\"", ", \"train\": true", ", \"loss_mask\": 1, \"weight\": 1"));
  EXPECT_EQ(row.messages.dump(), R"([{"role":"user","content":"a?"},{"role":"assistant","content":"Wrong.","name":"z"},)"
                                 R"({"role":"user","content":"b?"},{"role":"assistant","content":"Right."}])");
  EXPECT_THAT(row.training, ElementsAre(kByRole, kNo, kYes, kByRole));
  EXPECT_THAT(read(chat("")).training, IsEmpty());
  EXPECT_THAT(read(chat(", \"train\": true", ", \"weight\": 1")).training, IsEmpty());  // as without them
  EXPECT_THAT(read(chat("", "", ", \"weight\": 1")).training, IsEmpty());               // a weight is an answer's
  EXPECT_THAT(read(chat("", "", ", \"loss\": true")).training, IsEmpty());
}

TEST(TrainFlags, AUsersMessageIsTrainedWhereItSaysSo) {
  EXPECT_EQ(trained(chat(", \"train\": false", ", \"train\": false", ", \"train\": true"), "plain"), 3);  // "b?" and the line end
}

TEST(TrainFlags, HoldWithTrainOnAllToo) {
  DataOptions options = without_split();
  options.train_on = TrainOn::all;
  const auto trained_of = [&](const std::string& row) { return load("x.jsonl", row, options).report.train.trained_tokens; };
  EXPECT_EQ(trained_of(chat("")) - trained_of(chat(", \"weight\": 0")), 7);  // "Wrong." and EOS
  const std::string prompt = R"("prompt": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b"}])";
  EXPECT_EQ(trained_of("{" + prompt + R"(, "completion": [{"role": "assistant", "content": "c"}]})"),
            trained_of(R"({"messages": [{"role": "user", "content": "a?"}, {"role": "assistant", "content": "b"},)"
                       R"({"role": "assistant", "content": "c"}]})"));
}

TEST(TrainFlags, WhatCannotBeFollowedIsRefusedByName) {
  EXPECT_THAT(error_of(chat(", \"weight\": 0.5")), HasSubstr("3: "));
  EXPECT_THAT(
      error_of(chat(", \"weight\": 0.5")),
      HasSubstr("x.jsonl:1, message 2: \"weight\" must be 0 or 1 (or true or false); fractional loss weights are not supported"));
  EXPECT_THAT(error_of(chat(", \"loss_mask\": [0, 1]")), HasSubstr("message 2: \"loss_mask\" must be 0 or 1"));
  EXPECT_THAT(error_of(chat(", \"train\": \"no\"")), HasSubstr("message 2: \"train\" must be 0 or 1"));
  EXPECT_THAT(error_of(chat(", \"mask\": true")), HasSubstr("message 2: \"mask\" as true or false is read in two ways"));
  EXPECT_THAT(error_of(chat(", \"weight\": 0, \"train\": true")),
              HasSubstr("message 2: \"train\" and \"weight\" contradict each other"));
}

TEST(TrainFlags, UnknownOnesAreNotedOncePerFile) {
  const std::string row =
      chat(", \"train_me\": false, \"masked\": 1, \"id\": 1, \"my words\": 0, \"seconds\": 3.5, \"loss_scale\": 0.5");
  const Dataset dataset = load("x.jsonl", row + "\n" + row, without_split());
  EXPECT_THAT(dataset.report.notes,
              Contains(EndsWith("x.jsonl: looks like a flag of what is trained and is not known: \"loss_scale\", \"masked\" and "
                                "\"train_me\" (known are train, trainable, loss, loss_mask, weight, mask and "
                                "train_detail)"))
                  .Times(1));
}

TEST(RowFlags, OfMessagesAndOfTheRow) {
  EXPECT_EQ(trained(chat("", "", "", ", \"loss_mask\": [0, 0, 0, 1]")), 7);
  EXPECT_EQ(trained(chat("", "", "", ", \"train_on_turn\": [false, true]")), 7);  // of the answers
  EXPECT_EQ(trained(chat("", "", "", ", \"mask_history\": true")), 7);
  EXPECT_EQ(trained(chat("", "", "", ", \"mask_history\": false, \"weight\": 1")), 14);
  EXPECT_EQ(trained(chat(", \"weight\": 0", "", "", ", \"loss_mask\": [0, 1, 0, 1]")), 7);  // what is not trained stays so
  EXPECT_THAT(
      error_of(chat("", "", "", ", \"loss_mask\": [0, 0, 1]")),
      HasSubstr("x.jsonl:1: \"loss_mask\" has 3 entries for 4 messages, 2 of them the assistant's; give one for each message"));
  EXPECT_THAT(error_of(chat("", "", "", ", \"weights\": [0, 0.5]")), HasSubstr("x.jsonl:1: \"weights\"[1] must be 0 or 1"));
}

TEST(RowFlags, TheKeysOfMessagesAreThoseOfRows) {
  EXPECT_EQ(trained(chat("", "", "", ", \"mask\": [0, 0, 0, 1]")), 7);
  EXPECT_EQ(trained(chat("", "", "", ", \"mask\": 1")), 14);
  EXPECT_THAT(error_of(chat("", "", "", ", \"mask\": 0")), HasSubstr("marked as not trained"));
  EXPECT_THAT(error_of(chat("", "", "", ", \"mask\": true")),
              HasSubstr("x.jsonl:1: \"mask\" as true or false is read in two ways"));
  EXPECT_THAT(error_of(chat("", "", "", ", \"masks\": [true, false]")),
              HasSubstr("x.jsonl:1: \"masks\" as true or false is read in two ways"));
  for (const std::string& row : {chat("", "", "", ", \"weight\": 0.5"), std::string(R"({"text": "a", "weight": 0.5})")}) {
    EXPECT_THAT(error_of(row),
                HasSubstr("x.jsonl:1: \"weight\" must be 0 or 1 (or true or false); fractional loss weights are not"));
  }
}

TEST(RowFlags, ARowThatIsNotTrainedIsDropped) {
  for (const std::string& row :
       {chat("", "", "", ", \"weight\": 0"), std::string(R"({"question": "a", "answer": "b", "train": false})"),
        std::string(R"({"text": "a", "loss_mask": 0})"), chat(", \"weight\": 0", ", \"weight\": 0")}) {
    const Dataset dataset = load("x.jsonl", row + "\n{\"text\": \"a\"}\n", without_split());
    EXPECT_EQ(dataset.train.size(), 1U);
    EXPECT_EQ(dataset.report.files[0].dropped.at("nothing to learn: marked as not trained"), 1);
  }
  const Dataset other = load("x.jsonl", R"({"question": "a", "answer": "b", "weight": 70.5})", without_split());
  EXPECT_EQ(other.train.size(), 1U);  // a patient's: noted
  EXPECT_THAT(other.report.notes, Contains(HasSubstr("is not known: \"weight\"")));
}

TEST(TokenMasks, LeaveIdsOutOfTheLabels) {
  const auto labels = [](const std::string& more) {
    return first_sample(load("x.jsonl", "{\"input_ids\": [1, 5, 6, 7]" + more + "}", without_split())).labels;
  };
  const std::vector<std::int32_t> last = {-100, -100, -100, 7};
  for (const char* key : {"loss_mask", "completion_mask", "assistant_masks", "assistant_mask"}) {
    EXPECT_EQ(labels(std::string(", \"") + key + "\": [0, 0, 0, 1]"), last) << key;
  }
  EXPECT_EQ(labels(R"(, "completion_mask": [0, 0, 1, 1], "assistant_masks": [0, 1, 0, 1])"), last);
  EXPECT_EQ(labels(R"(, "attention_mask": [1, 1, 1, 0], "labels": [-100, 5, -100, 7])"),
            (std::vector<std::int32_t>{-100, 5, -100, -100}));
  for (const char* mask : {"[0, 1]", "[0, 1, 2, 0]", "1"}) {
    EXPECT_THAT(error_of(std::string("{\"input_ids\": [1, 5, 6, 7], \"loss_mask\": ") + mask + "}"),
                HasSubstr("x.jsonl:1: \"loss_mask\" must be a list of 0 and 1, one for each of input_ids"));
  }
}

TEST(TrainDetail, PartsAreBytesOfTheContent) {
  const ChatRow row =
      read(R"({"messages": [{"role": "assistant", "content": "h\u00e9llo you", "train_detail": [)"
           R"({"begin_offset": 0, "end_offset": 4, "train": false}, {"begin_offset": 5, "end_offset": 8, "train": true},)"
           R"({"begin_offset": 8, "end_offset": 99, "train": false}]}]})");
  ASSERT_EQ(row.untrained_parts.size(), 2U);
  EXPECT_EQ(row.untrained_parts[0].begin, 0U);
  EXPECT_EQ(row.untrained_parts[0].end, 6U);  // five characters, one of two bytes
  EXPECT_EQ(row.untrained_parts[1].begin, 9U);
  EXPECT_EQ(row.untrained_parts[1].end, 10U);
  EXPECT_FALSE(row.messages[0].contains("train_detail"));
}

TEST(TrainDetail, IsCheckedAndWantsTheModelsOwnTemplate) {
  for (const char* detail :
       {"3", "[3]", R"([{"begin_offset": 0, "end_offset": 1}])", R"([{"begin_offset": 2, "end_offset": 1, "train": true}])",
        R"([{"begin_offset": -1, "end_offset": 1, "train": true}])"}) {
    EXPECT_THAT(
        error_of(chat(std::string(", \"train_detail\": ") + detail)),
        HasSubstr("x.jsonl:1, message 2: \"train_detail\" must be a list of {\"begin_offset\", \"end_offset\", \"train\"}"));
  }
  const std::string some = R"(, "train_detail": [{"begin_offset": 0, "end_offset": 1, "train": false}])";
  EXPECT_THAT(error_of(chat(some)),
              HasSubstr("message 2: \"train_detail\" has no place in this template; use data.template = \"tokenizer\""));
  EXPECT_THAT(error_of(R"({"messages": [{"role": "assistant", "content": [{"type": "text", "text": "a"}])" + some + "}]}"),
              HasSubstr("message 1: \"train_detail\" counts the characters of a content that is text"));
}

}  // namespace
}  // namespace lora_dist::train_flags_test

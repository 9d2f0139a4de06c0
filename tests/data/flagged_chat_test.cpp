// Training flags of messages under the model's chat template.
#include "src/data/flagged_chat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/data/chat_sample.h"
#include "tests/data/load.h"

namespace lora_dist::flagged_chat_test {
namespace {

using testing::HasSubstr;

constexpr const char* kTurns =
    "{{ bos_token }}{% for m in messages %}{{ m.role + ': ' + (m.content or '') + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";
constexpr const char* kBlocks =
    "{{ bos_token }}{% for m in messages %}{{ m.role + ': ' }}{% if m.role == 'assistant' %}{% generation %}{{ m.content + "
    "eos_token }}"
    "{% endgeneration %}{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}";

/// The trained tokens' text, one | between parts that do not touch.
std::string trained(const std::string& row, const std::string& chat_template, TrainOn train_on = TrainOn::completion) {
  const Scratch folder;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
    folder.write(name, get_file(demo_model() / name));
  }
  folder.write("chat_template.jinja", chat_template);
  const Tokenizer tokenizer = open_tokenizer(folder.path());
  DataOptions options = without_split();
  options.row_template = RowTemplate::tokenizer;
  options.train_on = train_on;
  const TokenizedRow sample = first_sample(load("x.jsonl", row, options, &tokenizer));
  std::string out;
  for (std::size_t i = 0; i < sample.labels.size(); ++i) {
    if (sample.labels[i] != kNotTrained) {
      out += (i > 0 && sample.labels[i - 1] == kNotTrained && !out.empty() ? "|" : "") + token_text(tokenizer, sample.labels[i]);
    }
  }
  for (std::size_t at = 0; (at = out.find("\u2581", at)) != std::string::npos;) {
    out.erase(at, 3);  // the tokenizer's mark of a space
  }
  return out;
}

std::string chat(const std::string& first, const std::string& asked, const std::string& second) {
  return R"({"messages": [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "cd")" + first +
         R"(}, {"role": "user", "content": "ef")" + asked + R"(}, {"role": "assistant", "content": "gh")" + second + "}]}";
}

const std::string kNoMark = ", \"train\": false";
const std::string kMark = ", \"train\": true";

TEST(FlaggedChat, AnswersAreLeftOut) {
  for (const char* chat_template : {kTurns, kBlocks}) {
    EXPECT_EQ(trained(chat("", "", ""), chat_template), "cd</s>|gh</s>");
    EXPECT_EQ(trained(chat(kNoMark, "", kMark), chat_template), "gh</s>");
    EXPECT_EQ(trained(chat("", "", kNoMark), chat_template), "cd</s>");
  }
}

TEST(FlaggedChat, OtherMessagesAreTrainedWithTheTokenThatEndsThem) {
  for (const char* chat_template : {kTurns, kBlocks}) {
    EXPECT_EQ(trained(chat(kNoMark, kMark, ""), chat_template), "ef</s>|gh</s>");
  }
}

TEST(FlaggedChat, EverythingElseIsTrainedWithTrainOnAll) {
  for (const char* chat_template : {kTurns, kBlocks}) {
    const std::string all = trained(chat("", "", ""), chat_template, TrainOn::all);
    EXPECT_EQ(all.find('|'), std::string::npos);
    std::string expected = all;
    const std::string answer = "cd</s>";
    expected.replace(expected.find(answer), answer.size(), "|");
    EXPECT_EQ(trained(chat(kNoMark, "", ""), chat_template, TrainOn::all), expected);
  }
}

TEST(FlaggedChat, PartsOfAContentAreLeftOut) {
  const std::string row =
      R"({"messages": [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "x y z", "train_detail": )"
      R"([{"begin_offset": 1, "end_offset": 2, "train": false}]}]})";
  for (const char* chat_template : {kTurns, kBlocks}) {
    const std::string out = trained(row, chat_template);
    EXPECT_EQ(out, "x|z</s>");
  }
  const std::string upper = "{% for m in messages %}{{ m.role + ': ' + m.content | upper + eos_token }}{% endfor %}";
  EXPECT_THAT(error_from([&] { trained(row, upper); }), HasSubstr("train_detail\" cannot be followed"));
}

TEST(FlaggedChat, PartsOfOtherMessagesAreLeftOutWithTrainOnAll) {
  const auto row = [](const std::string& detail) {
    return R"({"messages": [{"role": "user", "content": "x y z")" + detail + R"(}, {"role": "assistant", "content": "cd"}]})";
  };
  const std::string detail = R"(, "train_detail": [{"begin_offset": 1, "end_offset": 2, "train": false}])";
  for (const char* chat_template : {kTurns, kBlocks}) {
    std::string expected = trained(row(""), chat_template, TrainOn::all);
    expected.replace(expected.find("xyz"), 3, "x|z");
    EXPECT_EQ(trained(row(detail), chat_template, TrainOn::all), expected);
    EXPECT_EQ(trained(row(detail), chat_template), "cd</s>");
  }
  const std::string no_users =
      "{% for m in messages if m.role == 'assistant' %}{{ 'assistant: ' + m.content + eos_token }}{% endfor %}";
  EXPECT_THAT(error_from([&] { trained(row(detail), no_users, TrainOn::all); }),
              HasSubstr("message 1: the message is marked, but cannot"));
  EXPECT_EQ(trained(row(detail), no_users), trained(row(""), no_users));  // nothing of that message is trained anyway
}

TEST(FlaggedChat, AMarkedMessageOfAPromptIsTrained) {
  const auto row = [](const std::string& asked, const std::string& answer) {
    return R"({"prompt": [{"role": "user", "content": "ab")" + asked + R"(}, {"role": "assistant", "content": "cd")" + answer +
           R"(}], "completion": [{"role": "assistant", "content": "gh"}]})";
  };
  EXPECT_EQ(trained(row(kMark, ""), kTurns), "ab</s>|gh</s>");
  const std::string all = trained(row("", ""), kTurns, TrainOn::all);
  std::string expected = all;
  expected.replace(expected.find("cd</s>"), 6, "|");
  EXPECT_EQ(trained(row("", kNoMark), kTurns, TrainOn::all), expected);
}

TEST(FlaggedChat, ACompletionAloneIsTrained) {
  EXPECT_EQ(
      trained(
          R"({"prompt": [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "cd"}, {"role": "user", "content": "ef"}],)"
          R"("completion": [{"role": "assistant", "content": "gh"}]})",
          kTurns),
      "gh</s>");
}

TEST(FlaggedChat, APromptIsTrainedWithTrainOnAll) {
  const std::string rest = R"({"role": "user", "content": "ab"}], "completion": [{"role": "assistant", "content": "gh"}]})";
  const std::string messages = R"({"messages": [{"role": "user", "content": "ab"}, {"role": "assistant", "content": "gh"}]})";
  EXPECT_EQ(trained(R"({"prompt": [)" + rest, kTurns, TrainOn::all), trained(messages, kTurns, TrainOn::all));
}

TEST(FlaggedChat, MarksThatCannotBeFollowedAreRefused) {
  // Without blocks the turn that is printed is known to be the last message's.
  EXPECT_EQ(trained(chat(kNoMark, "", ""), "{{ 'assistant: ' + messages[-1].content + eos_token }}"), "gh</s>");
  const std::string last_only = "{{ 'assistant: ' }}{% generation %}{{ messages[-1].content + eos_token }}{% endgeneration %}";
  EXPECT_THAT(
      error_from([&] { trained(chat(kNoMark, "", ""), last_only); }),
      HasSubstr(
          "x.jsonl:1: the chat template prints 1 of 2 answers, and which of them are marked as not trained cannot be told"));
  const std::string no_users =
      "{% for m in messages if m.role == 'assistant' %}{{ 'assistant: ' + m.content + eos_token }}{% endfor %}";
  EXPECT_THAT(error_from([&] { trained(chat("", kMark, ""), no_users); }),
              HasSubstr("x.jsonl:1, message 3: the message is marked, but cannot be found in what the chat template makes of the "
                        "conversation"));
}

}  // namespace
}  // namespace lora_dist::flagged_chat_test

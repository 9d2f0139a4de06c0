// Compares ids and labels of conversations and texts with transformers (tests/golden/make_chat_samples.py), and errors for
// unusable templates.
#include "src/data/chat_sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "src/data/tokenize.h"
#include "src/io/sha256.h"
#include "src/io/strict_json.h"
#include "tests/data/load.h"
#include "tests/support/test_data.h"

namespace lora_dist::chat_samples_test {
namespace {

using json = nlohmann::ordered_json;
using testing::AllOf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

const std::filesystem::path kGolden = source_dir() / "tests/golden";

json golden(const std::string& name) { return parse_ordered_json(get_file(kGolden / name)); }

/// tokenizer.json of the demo, or of a variant of byte_level.json.
json document_of(const std::string& kind) {
  if (kind == "demo") {
    return json::parse(get_file(demo_model() / "tokenizer.json"));
  }
  const json variants = golden("byte_level.json")["variants"];
  json document = variants[0]["edits"];
  for (const json& variant : variants) {
    if (variant["name"] == kind) {
      document.update(variant["edits"]);
    }
  }
  return document;
}

void write_tokenizer(const Scratch& folder, const std::string& kind, const json& added, const json& config) {
  json document = document_of(kind);
  for (const json& token : added) {
    document["added_tokens"].push_back(token);
  }
  folder.write("tokenizer.json", document.dump());
  folder.write("tokenizer_config.json", config.dump());
}

const json kNames = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};

std::string row_of(const json& messages, const json& tools = nullptr) {
  json row = {{"messages", messages}};
  if (!tools.is_null()) {
    row["tools"] = tools;
  }
  return row.dump();
}

std::vector<std::int32_t> labels_of(const std::vector<std::int32_t>& ids, const std::string& mask) {
  std::vector<std::int32_t> labels(ids.size(), kNotTrained);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    labels[i] = mask[i] == '1' ? ids[i] : kNotTrained;
  }
  return labels;
}

TEST(ChatSamples, IdsAndLabelsAreThoseOfTransformers) {
  const json all = golden("chat_samples.json");
  ASSERT_EQ(all["cases"].size(), 33U);
  for (const json& one : all["cases"]) {
    const Scratch folder;
    write_tokenizer(folder, one["tokenizer"], one["added_tokens"], kNames);
    folder.write("chat_template.jinja", get_file(kGolden / "chat_templates" / (one["template"].get<std::string>() + ".jinja")));
    const Tokenizer tokenizer = open_tokenizer(folder.path());
    for (const json& sample : one["samples"]) {
      SCOPED_TRACE(one["template"].dump() + one["tokenizer"].dump() + sample["chat"].dump());
      const std::string name = sample["chat"].get<std::string>();
      const std::string row = row_of(all["chats"][name], name.starts_with("calls") ? all["tools"] : json());
      const Dataset dataset = load("x.jsonl", row, without_split(), &tokenizer, 1000);
      const auto ids = sample["input_ids"].get<std::vector<std::int32_t>>();
      EXPECT_EQ(copy_of(dataset.train[0].input_ids), ids);
      EXPECT_EQ(copy_of(dataset.train[0].labels), labels_of(ids, sample["mask"].get<std::string>()));
      EXPECT_EQ(dataset.report.files[0].template_name(), "tokenizer");
    }
  }
}

std::string digest_of(const TokenizedRow& sample) {
  std::string row;
  for (std::size_t i = 0; i < sample.input_ids.size(); ++i) {
    row += (i == 0 ? "" : " ") + std::to_string(sample.input_ids[i]) + (sample.labels[i] == kNotTrained ? ":0" : ":1");
  }
  Sha256 digest;
  digest.update(std::as_bytes(std::span(row)));
  return digest.hex();
}

/// Tokenizers that are not part of the project: LORA_DIST_TEST_DATA/tokenizers/<folder>.
TEST(ChatSamples, OfModels) {
  const auto data = test_data();
  if (!data) {
    GTEST_SKIP() << "LORA_DIST_TEST_DATA names no folder with tokenizers";
  }
  const json chats = golden("chat_samples.json")["chats"];
  const json all = golden("chat_samples_of_models.json");
  ASSERT_GE(all["samples"].size(), 20U);
  std::string folder;
  Tokenizer tokenizer;
  for (const json& one : all["samples"]) {
    SCOPED_TRACE(one.dump());
    if (folder != one["folder"].get<std::string>()) {
      folder = one["folder"].get<std::string>();
      tokenizer = open_tokenizer(*data / "tokenizers" / folder);
    }
    const std::string row = row_of(chats[one["chat"].get<std::string>()]);
    const TokenizedRow sample = first_sample(load("x.jsonl", row, without_split(), &tokenizer, 200000));
    EXPECT_EQ(static_cast<std::int64_t>(sample.input_ids.size()), one["tokens"].get<std::int64_t>());
    EXPECT_EQ(digest_of(sample), one["sha256"].get<std::string>());
  }
}

TEST(TextSamples, LabelsAreThoseOfTheLanguageModelingCollator) {
  const json all = golden("chat_samples.json");
  for (const json& one : all["texts"]) {
    const Scratch folder;
    json config = kNames;
    config["pad_token"] = one["pad"];
    write_tokenizer(folder, "demo", one["added_tokens"], config);
    const Tokenizer tokenizer = open_tokenizer(folder.path());
    std::string rows;
    for (const json& text : one["texts"]) {
      rows += json{{"text", text["text"]}}.dump() + "\n";
    }
    const Dataset dataset = load("x.jsonl", rows, without_split(), &tokenizer, 1000);
    const std::vector<Sample>& samples = dataset.train;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < one["texts"].size(); ++i) {
      const json& expected = one["texts"][i];
      SCOPED_TRACE(expected.dump());
      if (kept == samples.size() || samples[kept].row != static_cast<std::int64_t>(i) + 1) {
        EXPECT_TRUE(expected["text"] == "" || expected["text"] == "<pad>");  // nothing to learn: left out
        continue;
      }
      EXPECT_EQ(copy_of(samples[kept].input_ids), expected["input_ids"].get<std::vector<std::int32_t>>());
      EXPECT_EQ(copy_of(samples[kept].labels), expected["labels"].get<std::vector<std::int32_t>>());
      std::vector<std::int32_t> padded;  // the same row within a padded batch
      for (std::size_t t = 0; t < one["padded"]["labels"][i].size(); ++t) {
        if (one["padded"]["attention_mask"][i][t] == 1) {
          padded.push_back(one["padded"]["labels"][i][t].get<std::int32_t>());
        }
      }
      EXPECT_EQ(copy_of(samples[kept].labels), padded);
      ++kept;
    }
    EXPECT_EQ(kept, samples.size());
    EXPECT_GE(kept, 4U);
  }
}

TEST(TextSamples, APadTokenThatIsEosIsTrained) {
  Tokenizer tokenizer = demo_tokenizer();
  tokenizer.pad = tokenizer.eos;
  const TokenizedRow sample = sample_of_text(tokenizer, "a</s>");
  EXPECT_EQ(sample.labels, sample.input_ids);
  EXPECT_EQ(sample.labels.back(), 2);
}

/// The demo's tokenizer with a chat template.
struct ChatFolder {
  Scratch folder;
  Tokenizer tokenizer;

  explicit ChatFolder(const std::string& source, const json& added = json::array()) {
    write_tokenizer(folder, "demo", added, kNames);
    folder.write("chat_template.jinja", source);
    tokenizer = open_tokenizer(folder.path());
  }
  TokenizedRow sample(const std::string& row, const DataOptions& options = without_split()) const {
    return first_sample(load("x.jsonl", row, options, &tokenizer, 1000));
  }
  std::string error(const std::string& row, const DataOptions& options = without_split()) const {
    return error_from([&] { sample(row, options); });
  }
  /// The text of the trained tokens.
  std::string trained(const std::string& row, const DataOptions& options = without_split()) const {
    std::vector<std::int32_t> ids = sample(row, options).labels;
    std::erase(ids, kNotTrained);
    return decode(tokenizer, ids, false);
  }
};

const std::string kExchange = R"({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Oh no"}]})";
const std::string kPlainTemplate =
    "{% for m in messages %}{{ m.role + ': ' + m.content + eos_token + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";

DataOptions with_template(const std::string& name) {
  DataOptions options = without_split();
  options.row_template = template_named(name);
  return options;
}

TEST(ChatSamples, QuestionsBecomeAnExchange) {
  const ChatFolder chat(kPlainTemplate);
  for (const char* row : {R"({"question": "Hi", "answer": "Oh no"})", R"({"instruction": "Hi", "output": "Oh no"})"}) {
    const TokenizedRow sample = chat.sample(row, with_template("tokenizer"));
    EXPECT_EQ(sample.input_ids, encode(chat.tokenizer, "user: Hi</s>\nassistant: Oh no</s>\n", false));
    EXPECT_EQ(chat.trained(row, with_template("tokenizer")), "Oh no</s>");
  }
  const Dataset automatic = load("x.jsonl", R"({"question": "Hi", "answer": "Oh no"})", without_split(), &chat.tokenizer, 1000);
  EXPECT_EQ(automatic.report.files[0].template_name(), "qa");
  EXPECT_THAT(automatic.report.notes, Contains(HasSubstr("the template is \"qa\"; the model's own chat template is used with")));
}

TEST(ChatSamples, TrainOnAll) {
  const ChatFolder chat("{{ bos_token }}" + kPlainTemplate);
  DataOptions options = without_split();
  options.train_on = TrainOn::all;
  const TokenizedRow sample = chat.sample(kExchange, options);
  EXPECT_EQ(sample.input_ids[0], 1);
  EXPECT_NE(sample.input_ids[1], 1);  // the tokenizer would add one itself
  EXPECT_EQ(sample.labels[0], kNotTrained);
  EXPECT_TRUE(std::equal(sample.labels.begin() + 1, sample.labels.end(), sample.input_ids.begin() + 1));
}

TEST(ChatSamples, TurnsThatAreNoContinuationAreFoundByTheirContent) {
  // The generation prompt begins a reasoning block that the conversation lacks.
  const ChatFolder chat(
      "{% for m in messages %}{{ m.role + ': ' + m.content | trim + eos_token + '\\n' }}{% endfor %}"
      "{% if add_generation_prompt %}{{ 'assistant: <think>' }}{% endif %}");
  EXPECT_EQ(chat.trained(kExchange), "Oh no</s>");
}

TEST(ChatSamples, TurnsWithoutAnEndTokenGoOnToTheNextMessage) {
  const ChatFolder chat(
      "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}"
      "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}");
  EXPECT_EQ(chat.trained(R"({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Oh no"}, )"
                         R"({"role": "user", "content": "So"}]})"),
            "Oh no\n");
}

std::string chat_of(const std::vector<std::string>& answers) {
  json messages = json::array();
  for (const std::string& answer : answers) {
    messages.push_back({{"role", "user"}, {"content", "Hi"}});
    messages.push_back({{"role", "assistant"}, {"content", answer}});
  }
  return row_of(messages);
}

/// The trained text of a row, and the number of untrained answers.
std::pair<std::string, std::int64_t> learnt(const ChatFolder& chat, const std::string& row,
                                            const DataOptions& options = without_split()) {
  return {chat.trained(row, options), load("x.jsonl", row, options, &chat.tokenizer, 1000).report.files[0].empty_answers};
}

TEST(EmptyAnswers, TrainNothingAndAreCounted) {
  using Learnt = std::pair<std::string, std::int64_t>;
  const ChatFolder chat(kPlainTemplate);
  EXPECT_EQ(learnt(chat, chat_of({"", "So"})), Learnt("So</s>", 1));
  EXPECT_EQ(learnt(chat, chat_of({"So", " \n"})), Learnt("So</s>", 1));
  EXPECT_EQ(learnt(chat, chat_of({"a", "", "b", "c", "d", " "})),
            Learnt("a</s> b</s> c</s> d</s>", 2));  // found by their surroundings
  const Dataset dataset =
      load("x.jsonl", chat_of({"So", ""}) + "\n" + chat_of({"", " "}), without_split(), &chat.tokenizer, 1000);
  EXPECT_EQ(dataset.train.size(), 1U);
  EXPECT_THAT(render_report(dataset.report),
              AllOf(Contains("  1 answers not trained: empty, or not printed by the chat template"),
                    Contains("  1 dropped: nothing to learn: every answer is empty, or not printed by the chat template")));
  DataOptions all = without_split();
  all.train_on = TrainOn::all;
  EXPECT_EQ(learnt(chat, chat_of({""}), all), Learnt("user: Hi</s> \nassistant: </s> \n", 0));
}

TEST(EmptyAnswers, UnderBuiltInTemplates) {
  const json marks = {{{"id", 512}, {"content", "<|im_start|>"}, {"special", true}, {"normalized", false}},
                      {{"id", 513}, {"content", "<|im_end|>"}, {"special", true}, {"normalized", false}}};
  const ChatFolder chat(kPlainTemplate, marks);
  for (const char* name : {"plain", "chatml"}) {
    const auto [text, count] = learnt(chat, chat_of({" ", "So", ""}), with_template(name));
    EXPECT_EQ(text, name == std::string("plain") ? "So</s>" : "So<|im_end|>") << name;
    EXPECT_EQ(count, 2) << name;
  }
}

TEST(EmptyAnswers, AreAlsoThoseThatTheTemplateDoesNotPrint) {
  using Learnt = std::pair<std::string, std::int64_t>;
  const std::string prompt = "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}";
  const ChatFolder strips("{% for m in messages %}{{ m.role + ': ' + m.content.split('</think>')[-1] + eos_token }}{% endfor %}" +
                          prompt);
  EXPECT_EQ(learnt(strips, chat_of({"<think>well</think>", "<think>well</think>So"})), Learnt("So</s>", 1));
  const ChatFolder forgets(
      "{% for m in messages %}{% if m.role == 'user' or loop.last %}{{ m.role + ': ' + m.content + eos_token }}{% endif %}"
      "{% endfor %}" +
      prompt);
  EXPECT_EQ(learnt(forgets, chat_of({"Oh", "So"})), Learnt("So</s>", 1));
  const std::string calls =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "tool_calls": [{"name": "f"}]}, )"
      R"({"role": "user", "content": "a"}, {"role": "assistant", "content": "So"}]})";
  EXPECT_EQ(learnt(ChatFolder(kPlainTemplate), calls), Learnt("So</s>", 1));
  const ChatFolder knows(
      "{% for m in messages %}{{ m.role + ': ' }}{{ m.tool_calls | tojson if m.tool_calls }}{{ m.content + eos_token }}{% endfor "
      "%}" +
      prompt);
  EXPECT_EQ(learnt(knows, calls), Learnt("[{\"name\": \"f\"}]</s> So</s>", 0));
}

TEST(EmptyAnswers, WithReasoningAreNone) {
  const std::string row =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "reasoning_content": "well"}]})";
  const ChatFolder chat(
      "{% for m in messages %}{{ m.role + ': ' }}{{ m.reasoning_content }}{{ m.content + eos_token }}{% endfor %}"
      "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}");
  EXPECT_EQ(learnt(chat, row), (std::pair<std::string, std::int64_t>("well</s>", 0)));
  EXPECT_EQ(ChatFolder(kPlainTemplate).error(row).substr(0, 2), "3:");  // it has no place for reasoning: nothing is left
}

/// An empty block inside a token: transformers' mask trains the token, which belongs to the prompt.
TEST(EmptyAnswers, OfBlocksLeaveTheTokenAroundThemAlone) {
  const ChatFolder chat(
      "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}Onc{% generation %}{{ m.content }}"
      "{% endgeneration %}e\n{% else %}{{ m.content }}\n{% endif %}{% endfor %}");
  ASSERT_EQ(encode(chat.tokenizer, "Once", false).size(), 1U);
  EXPECT_EQ(learnt(chat, chat_of({"", "So"})).second, 1);
  const TokenizedRow sample = chat.sample(chat_of({"", "So"}));
  const std::vector<std::int32_t> start = encode(chat.tokenizer, "user: Hi\nassistant: Once\n", false);
  ASSERT_TRUE(std::equal(start.begin(), start.end(), sample.input_ids.begin()));
  EXPECT_TRUE(std::all_of(sample.labels.begin(), sample.labels.begin() + static_cast<std::ptrdiff_t>(start.size()),
                          [](std::int32_t label) { return label == kNotTrained; }));
  EXPECT_GT(trained_tokens(sample.labels), 0);
}

TEST(ChatSamples, PartsAndCallsReachTheTemplate) {
  const ChatFolder chat(
      "{{ tools | tojson if tools }}{% for m in messages %}{{ m.role }}:{% if m.content is string %}{{ m.content }}{% else %}{% "
      "for p in m.content or [] %}"
      "{{ p.text }}{% endfor %}{% endif %}{% for c in m.tool_calls or [] %}{{ c | tojson }}{% endfor %}{{ eos_token }}\n"
      "{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}");
  EXPECT_EQ(
      chat.trained(R"({"messages": [{"role": "user", "content": "Hi"}, )"
                   R"({"role": "assistant", "content": [{"type": "text", "text": "Oh "}, {"type": "text", "text": "no"}]}, )"
                   R"({"role": "assistant", "content": null, "tool_calls": [{"z": 1, "a": {"c": "<s", "b": null}}]}], )"
                   R"("tools": [{"y": 1, "x": 2}]})"),
      "Oh no</s>{\"z\": 1, \"a\": {\"c\": \"<s\", \"b\": null}}</s>");
}

TEST(ChatSamples, CallsThatTheTemplateDoesNotKnowAreNoted) {
  const std::string row =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "tool_calls": [{}]}]})";
  const auto notes = [&](const std::string& source) {
    const ChatFolder chat(source);
    return load("x.jsonl", row, without_split(), &chat.tokenizer, 1000).report.notes;
  };
  EXPECT_THAT(notes(kPlainTemplate),
              Contains(HasSubstr("x.jsonl: there are calls of tools, which the model's chat template does not know")));
  EXPECT_THAT(notes(kPlainTemplate + "{% if messages[0].tool_calls %}{% endif %}"), IsEmpty());
}

TEST(ChatSamples, TheDateIsTheRunsAndIsNoted) {
  const ChatFolder chat("{{ 'Today: ' + strftime_now('%d %b %Y') + '\\n' }}" + kPlainTemplate);
  DataOptions options = without_split();
  options.template_day = "2026-11-26";
  const Dataset dataset = load("x.jsonl", kExchange, options, &chat.tokenizer, 1000);
  EXPECT_EQ(copy_of(dataset.train[0].input_ids),
            encode(chat.tokenizer, "Today: 26 Nov 2026\nuser: Hi</s>\nassistant: Oh no</s>\n", false));
  EXPECT_EQ(dataset.report.template_day, "2026-11-26");
  EXPECT_THAT(render_report(dataset.report),
              Contains("note: the model's chat template prints the date: 2026-11-26 here, and whenever this run is resumed"));
  const Dataset other = load("x.jsonl", R"({"question": "a", "answer": "b"})", options, &chat.tokenizer, 1000);
  EXPECT_EQ(other.report.template_day, "");  // rows that do not use the template
  const ChatFolder timeless(kPlainTemplate);
  EXPECT_EQ(load("x.jsonl", kExchange, options, &timeless.tokenizer, 1000).report.template_day, "");
}

TEST(ChatSamples, ConversationsWithToolsHaveATemplateOfTheirOwn) {
  const ChatFolder chat("{{ 'plain' }}");
  chat.folder.write("additional_chat_templates/tool_use.jinja", kPlainTemplate);
  EXPECT_THAT(chat.error(kExchange),
              HasSubstr("x.jsonl: 1 x nothing to learn: every answer is empty, or not printed by the chat"));
  EXPECT_EQ(chat.trained(row_of(json::parse(kExchange)["messages"], json::array({1}))), "Oh no</s>");
}

TEST(ChatSamples, ATemplateAmongOthersCountsAsTheModelsOwn) {
  const ChatFolder chat(kPlainTemplate);
  std::filesystem::remove(chat.folder / "chat_template.jinja");
  EXPECT_FALSE(open_tokenizer(chat.folder.path()).has_chat_template);
  chat.folder.write("additional_chat_templates/default.jinja", kPlainTemplate);
  EXPECT_TRUE(open_tokenizer(chat.folder.path()).has_chat_template);
  EXPECT_EQ(chat.trained(kExchange), "Oh no</s>");
}

TEST(ChatSampleErrors, TheTemplateRefuses) {
  const ChatFolder chat("{{ raise_exception('Only\npoets') }}");
  EXPECT_THAT(chat.error(kExchange),
              AllOf(HasSubstr("3: "), HasSubstr("x.jsonl:1: the chat template refuses the conversation: Only\npoets"),
                    HasSubstr("chat_template.jinja:1")));
}

TEST(ChatSampleErrors, TheTemplateFails) {
  const ChatFolder chat("\n{{ messages[0].content + 1 }}");
  EXPECT_THAT(chat.error(kExchange), AllOf(HasSubstr("4: "), HasSubstr("chat_template.jinja:2: "),
                                           HasSubstr("(while it rendered "), HasSubstr("x.jsonl:1)")));
  EXPECT_THAT(ChatFolder("{% if %}").error(kExchange),
              AllOf(HasSubstr("4: "), HasSubstr("chat_template.jinja:1: the chat template is malformed")));
  // A row that the template refuses.
  EXPECT_THAT(
      ChatFolder("{{ 'x' + messages[0].content }}")
          .error(R"({"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":"b"}]})"),
      AllOf(HasSubstr("3: "), HasSubstr("x.jsonl:1, whose content is in parts; templates that know text alone want one text")));
}

TEST(ChatSampleErrors, AnAnswerThatCannotBeFound) {
  const ChatFolder chat(
      "{% set all %}{% for m in messages %}{{ m.content }}{% endfor %}{% endset %}{{ all | upper }}"
      "{% if add_generation_prompt %}go{% endif %}");
  EXPECT_THAT(chat.error(kExchange),
              AllOf(HasSubstr("3: "), HasSubstr("x.jsonl:1, message 2: the answer cannot be found in what the chat template "),
                    HasSubstr("chat_template.jinja"), HasSubstr("use data.train_on = \"all\" or another data.template")));
  DataOptions options = without_split();
  options.train_on = TrainOn::all;
  EXPECT_EQ(chat.error(kExchange, options), "no error");
}

TEST(ChatSampleErrors, NoTemplate) {
  EXPECT_THAT(error_from([&] { load("x.jsonl", kExchange, with_template("tokenizer")); }),
              AllOf(HasSubstr("4: "), HasSubstr(demo_model().string() + " has no chat template"), HasSubstr("data.template")));
}

TEST(ChatSampleErrors, WhatBuiltInTemplatesHaveNoPlaceFor) {
  const auto error = [](const std::string& messages) {
    return error_from([&] { load("x.jsonl", "{\"messages\": " + messages + "}", with_template("plain")); });
  };
  EXPECT_THAT(error(R"([{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}])"),
              AllOf(HasSubstr("3: "), HasSubstr("x.jsonl:1, message 2: the role is none of system, user, assistant"),
                    HasSubstr("data.template = \"tokenizer\"")));
  EXPECT_THAT(error(R"([{"role": "assistant", "content": "a", "tool_calls": [{}]}])"),
              HasSubstr("message 1: calls of tools and content in parts have no place in this template"));
  EXPECT_THAT(error(R"([{"role": "user", "content": [{"type": "text", "text": "a"}]}])"), HasSubstr("content in parts"));
}

TEST(ChatPrompt, IsTheConversationAndTheGenerationPrompt) {
  const ChatFolder chat(kPlainTemplate);
  const ChatRow row{json::array({{{"role", "user"}, {"content", "Hi"}}})};
  const ChatTemplate chat_template = require_chat_template(chat.tokenizer);
  const ChatPrompt prompt = chat_prompt(chat_template, row, chat.tokenizer, "here");
  EXPECT_EQ(prompt.text, "user: Hi</s>\nassistant:");
  EXPECT_EQ(prompt.ids, encode(chat.tokenizer, prompt.text, false));
  EXPECT_EQ(end_of_turn(chat_template, chat.tokenizer), 2);
  const ChatFolder silent("{{ '' }}");
  EXPECT_THAT(error_from([&] { chat_prompt(require_chat_template(silent.tokenizer), row, silent.tokenizer, "here"); }),
              HasSubstr("3: here: the chat template makes an empty text"));
  EXPECT_FALSE(end_of_turn(require_chat_template(silent.tokenizer), silent.tokenizer));
}

TEST(ChatPrompt, EndOfTurnThatABlockLeavesOut) {
  const json added = {{{"id", 512}, {"content", "<|im_end|>"}, {"special", true}, {"normalized", false}}};
  const ChatFolder chat(get_file(kGolden / "chat_templates/generation.jinja"), added);
  EXPECT_EQ(end_of_turn(require_chat_template(chat.tokenizer), chat.tokenizer), 512);
}

TEST(ChatReport, NotesArgumentsThatAreJsonPrintedInQuotes) {
  const ChatFolder chat(
      "{% for m in messages %}{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% else %}{{ m.content }}{% endif %}{{ eos_token }}"
      "{% endfor %}");
  const auto notes_of = [&](const std::string& arguments) {
    const std::string call = R"({"function": {"name": "dose", "arguments": )" + arguments + "}}";
    const std::string row =
        R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [)" + call + "]}]}";
    return load("x.jsonl", row + "\n" + row, without_split(), &chat.tokenizer, 1000).report.files[0].notes;
  };
  EXPECT_THAT(
      notes_of(R"("{\"drug\": null}")"),
      testing::ElementsAre(HasSubstr("arguments of calls are given as a text that is JSON, and the chat template prints them in "
                                     "quotes; give them as objects")));
  EXPECT_THAT(notes_of(R"({"drug": null})"), testing::IsEmpty());
}

json special_tokens(const std::vector<std::string>& contents) {
  json out = json::array();
  for (std::size_t i = 0; i < contents.size(); ++i) {
    out.push_back({{"id", 512 + i},
                   {"content", contents[i]},
                   {"special", true},
                   {"normalized", false},
                   {"single_word", false},
                   {"lstrip", false},
                   {"rstrip", false}});
  }
  return out;
}

/// A turn may end in two tokens, and its end token may come after the loop or before the next message.
TEST(ChatEnds, AreTrainedWholeWhereverTheyStand) {
  const std::string two = R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "Yes."},)"
                          R"({"role": "user", "content": "b"}, {"role": "assistant", "content": "No."}]})";
  const ChatFolder double_end(
      "{% for m in messages %}{% if m.role == 'user' %}{{ '<|in|>' + m.content }}{% else %}"
      "{{ '<|out|>' + m.content + '<|end|><|over|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|out|>' }}{% "
      "endif %}",
      special_tokens({"<|in|>", "<|out|>", "<|end|>", "<|over|>"}));
  EXPECT_EQ(double_end.trained(two), "Yes.<|end|><|over|> No.<|end|><|over|>");
  const ChatFolder header_behind(  // the next header is no end, though special tokens follow each other
      "{% for m in messages %}{% if m.role == 'user' %}{{ '<|in|>' + m.content + '<|over|>' }}{% else %}"
      "{{ '<|out|>' + m.content + '<|end|><|over|>' }}{% endif %}{% endfor %}{{ '<|in|><|out|>' }}",
      special_tokens({"<|in|>", "<|out|>", "<|end|>", "<|over|>"}));
  EXPECT_EQ(header_behind.trained(two), "Yes.<|end|><|over|> No.<|end|><|over|>");
  const ChatFolder before_next(
      "{% for m in messages %}{% if not loop.first %}{{ '<|end|>' }}{% endif %}{{ '<|' + m.role + '|>' + m.content }}{% endfor %}"
      "{{ '<|end|>' }}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}",
      special_tokens({"<|user|>", "<|assistant|>", "<|end|>"}));
  EXPECT_EQ(before_next.trained(two), "Yes.<|end|> No.<|end|>");
}

/// A template that does not print tool calls does not affect other answers.
TEST(ChatFlags, BesideACallThatIsNotPrinted) {
  const ChatFolder chat(
      "{% for m in messages %}{{ m.role + ': ' + (m.content or '') + eos_token }}{% endfor %}"
      "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}");
  EXPECT_EQ(chat.trained(R"({"messages": [{"role": "user", "content": "a"},
      {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
      {"role": "tool", "content": "1"}, {"role": "assistant", "content": "One.", "weight": 0},
      {"role": "user", "content": "b"}, {"role": "assistant", "content": "Two."}]})"),
            "Two.</s>");
}

TEST(ChatSampleErrors, AMessageWithoutTheContentThatTheTemplateWants) {
  const ChatFolder chat("{% for m in messages %}{{ m['content'] + eos_token }}{% endfor %}");
  EXPECT_THAT(
      chat.error(R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [{"function": {}}]}]})"),
      AllOf(HasSubstr("3: "), HasSubstr("while it rendered"),
            HasSubstr("of which a message has no content; this template wants a text in each")));
}

}  // namespace
}  // namespace lora_dist::chat_samples_test

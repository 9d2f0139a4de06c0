// The choice among several templates (tests/golden/make_named_templates.py), and the error if none fits.
#include "src/chat_template/named_templates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "src/chat_template/chat_template.h"
#include "src/io/strict_json.h"
#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"

namespace lora_dist::named_templates_test {
namespace {

using nlohmann::ordered_json;
using testing::HasSubstr;

void write_files(const Scratch& folder, const ordered_json& files) {
  for (const auto& [name, content] : files.items()) {
    folder.write(name, content.get<std::string>());
  }
}

TEST(NamedTemplates, AreChosenAsTransformersChoosesThem) {
  const ordered_json all = parse_ordered_json(get_file(source_dir() / "tests/golden/named_templates.json"));
  ASSERT_EQ(all["folders"].size(), 16U);
  int refused = 0;
  for (const ordered_json& one : all["folders"]) {
    SCOPED_TRACE(one.dump());
    const Scratch folder;
    write_files(folder, one["files"]);
    if (one["plain"].contains("names")) {  // refused as a whole, even where rows with tools would have "tool_use"
      std::string names;
      for (const ordered_json& name : one["plain"]["names"]) {
        names += (names.empty() ? "" : ", ") + name.get<std::string>();
      }
      const Thrown thrown = thrown_by([&] { open_chat_template(folder.path()); });
      EXPECT_EQ(thrown.code, ExitCode::model);
      EXPECT_EQ(thrown.message, folder.path().string() + " has chat templates named " + names +
                                    ", but none named default; name the one to use default (or put it into "
                                    "chat_template.jinja), or choose another data.template");
      ++refused;
      continue;
    }
    const auto chat_template = open_chat_template(folder.path());
    ASSERT_TRUE(chat_template);
    EXPECT_EQ(render_chat(*chat_template, {all["messages"]}).text, one["plain"]["text"]);
    EXPECT_EQ(render_chat(*chat_template, {all["messages"], all["tools"]}).text, one["with_tools"]["text"]);
    EXPECT_EQ(render_chat(*chat_template, {all["messages"], ordered_json::array()}).text, one["no_tools"]["text"]);
  }
  EXPECT_EQ(refused, 4);
}

TEST(NamedTemplates, ErrorsNameTheTemplate) {
  const Scratch folder;
  const auto error = [&](const std::string& config) {
    folder.write("tokenizer_config.json", config);
    return thrown_by([&] { open_chat_template(folder.path()); }).message;
  };
  const std::string file = (folder / "tokenizer_config.json").string();
  EXPECT_THAT(
      error(R"({"chat_template": [{"name": "default", "template": "a"}, {"name": "tool_use", "template": "\n{% if %}"}]})"),
      HasSubstr(file + ": chat_template \"tool_use\", line 2: the chat template is malformed"));
  EXPECT_THAT(error(R"({"chat_template": "{% if %}"})"),
              HasSubstr(file + ": chat_template, line 1: the chat template is malformed"));
  for (const char* config :
       {R"({"chat_template": 1})", R"({"chat_template": [{"name": "default"}]})", R"({"chat_template": ["a"]})"}) {
    EXPECT_EQ(error(config), file + ": chat_template must be a text, or a list of {\"name\", \"template\"}") << config;
  }
}

TEST(NamedTemplates, NoneIsNone) {
  const Scratch folder;
  EXPECT_FALSE(open_chat_template(folder.path()));
  folder.write("tokenizer_config.json", R"({"chat_template": null})");
  folder.write("additional_chat_templates/notes.txt", "{{ a }}");
  EXPECT_FALSE(open_chat_template(folder.path()));
}

}  // namespace
}  // namespace lora_dist::named_templates_test

// Compares every template and feature with transformers (tests/golden/make_chat_templates.py), byte for byte, including errors.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "src/chat_template/chat_template.h"
#include "src/core/error.h"
#include "src/io/file.h"
#include "src/io/sha256.h"
#include "src/io/strict_json.h"
#include "tests/support/source_dir.h"

namespace lora_dist::render_golden_test {
namespace {

using nlohmann::ordered_json;

const std::filesystem::path kGolden = source_dir() / "tests/golden";

ordered_json golden(const std::string& name) { return parse_ordered_json(read_text_file(kGolden / name, ExitCode::data)); }

Conversation conversation_of(const ordered_json& messages, const ordered_json& golden) {
  Conversation out{messages};
  for (const auto& [name, token] : golden["tokens"].items()) {
    out.special_tokens.emplace_back(name, token.get<std::string>());
  }
  return out;
}

/// The result in the golden file's form: {"text"[, "generated"]} or {"error", "raised"}.
ordered_json outcome(const std::string& source, const Conversation& conversation) {
  try {
    const RenderedChat chat = render_chat(parse_chat_template(source, "template.jinja", false), conversation);
    ordered_json out = {{"text", chat.text}};
    for (const jinja::OutputSpan& span : chat.generated) {
      out["generated"].push_back({span.begin, span.end});
    }
    return out;
  } catch (const RenderError& e) {
    return {{"error", e.what()}, {"raised", e.refused()}};
  } catch (const Error& e) {
    return {{"error", e.what()}, {"raised", false}};
  }
}

void expect_outcome(const ordered_json& expected, const ordered_json& found, const std::string& about) {
  ASSERT_EQ(expected.contains("error"), found.contains("error"))
      << about << "\nexpected " << expected.dump() << "\nfound " << found.dump();
  if (!expected.contains("error")) {
    EXPECT_EQ(expected["text"].get<std::string>(), found["text"].get<std::string>()) << about;
    EXPECT_EQ(expected.value("generated", ordered_json()), found.value("generated", ordered_json())) << about;
    return;
  }
  EXPECT_EQ(expected["raised"], found["raised"]) << about << found.dump();
  if (expected["raised"].get<bool>()) {  // other messages are Python's own
    EXPECT_TRUE(found["error"].get<std::string>().starts_with(expected["error"].get<std::string>() + " (template.jinja:"))
        << found.dump();
  } else {
    EXPECT_TRUE(found["error"].get<std::string>().starts_with("template.jinja:")) << found.dump();
  }
}

TEST(ChatTemplateGolden, ConversationsAreAsTransformersRendersThem) {
  const ordered_json all = golden("chat_templates.json");
  ASSERT_GT(all["cases"].size(), 200U);
  for (const ordered_json& one : all["cases"]) {
    const std::string name = one["template"].get<std::string>();
    Conversation conversation = conversation_of(one["messages"], all);
    conversation.tools = one["tools"];
    conversation.add_generation_prompt = one["prompt"].get<bool>();
    const std::string source = read_text_file(kGolden / "chat_templates" / name, ExitCode::model);
    expect_outcome(one, outcome(source, conversation), name + ", " + one["chat"].get<std::string>());
  }
}

TEST(ChatTemplateGolden, FeaturesAreAsTransformersRendersThem) {
  const ordered_json all = golden("chat_templates.json");
  ASSERT_GT(all["features"].size(), 100U);
  for (const ordered_json& one : all["features"]) {
    const std::string source = one["source"].get<std::string>();
    expect_outcome(one, outcome(source, conversation_of(all["feature_messages"], all)), source);
  }
}

/// Templates that are not part of the project: LORA_DIST_TEST_DATA/tokenizers/<folder>.
TEST(ChatTemplateGolden, TemplatesOfModelsAreAsTransformersRendersThem) {
  const char* data = std::getenv("LORA_DIST_TEST_DATA");
  if (data == nullptr) {
    GTEST_SKIP() << "LORA_DIST_TEST_DATA names no folder with tokenizers";
  }
  const ordered_json all = golden("chat_templates_of_models.json");
  for (const ordered_json& one : all["cases"]) {
    const auto chat_template = open_chat_template(std::filesystem::path(data) / "tokenizers" / one["folder"].get<std::string>());
    ASSERT_TRUE(chat_template.has_value()) << one["folder"];
    Conversation conversation = conversation_of(one["messages"], all);
    conversation.tools = one["tools"];
    conversation.add_generation_prompt = one["prompt"].get<bool>();
    const ordered_json found = outcome(chat_template->source, conversation);
    const std::string about = one["folder"].get<std::string>() + ", " + one["chat"].get<std::string>() + "\n" + found.dump();
    ASSERT_EQ(one.contains("error"), found.contains("error")) << about;
    if (!one.contains("error")) {
      Sha256 digest;
      const std::string text = found["text"].get<std::string>();
      digest.update(std::as_bytes(std::span(text)));
      EXPECT_EQ(one["sha256"].get<std::string>(), digest.hex()) << about;
    } else {
      EXPECT_EQ(one["raised"], found["raised"]) << about;
    }
  }
}

}  // namespace
}  // namespace lora_dist::render_golden_test

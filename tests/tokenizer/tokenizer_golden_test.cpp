// Ids and texts against Hugging Face's libraries (tests/golden/make_tokenizer_golden.py, make_byte_level_golden.py and
// make_unigram_golden.py).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "src/tokenizer/tokenizer.h"
#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"
#include "tests/tokenizer/golden_folder.h"

namespace lora_dist::tokenizer_golden_test {
namespace {

using nlohmann::json;

std::string streamed(const Tokenizer& tokenizer, const std::vector<std::int32_t>& ids) {
  StreamDecoder decoder{&tokenizer};
  std::string out;
  for (const std::int32_t id : ids) {
    out += push(decoder, id);
  }
  return out + finish(decoder);
}

void expect_cases(const Tokenizer& tokenizer, const json& cases, bool streams) {
  for (const json& one : cases) {
    const std::string text = from_hex(one["bytes"]);
    SCOPED_TRACE("bytes " + one["bytes"].get<std::string>().substr(0, 80));
    const auto ids = one["ids"].get<std::vector<std::int32_t>>();
    EXPECT_EQ(encode(tokenizer, text, true), ids);
    EXPECT_EQ(encode(tokenizer, text, false), one["plain_ids"].get<std::vector<std::int32_t>>());
    if (one.contains("text")) {
      EXPECT_EQ(decode(tokenizer, ids, true), one["text"].get<std::string>());
      if (streams) {
        EXPECT_EQ(streamed(tokenizer, ids), one["text"].get<std::string>());
      }
    }
    if (one.contains("full_text")) {
      EXPECT_EQ(decode(tokenizer, ids, false), one["full_text"].get<std::string>());
    }
  }
}

TEST(TokenizerGolden, TokenizerJsonAndItsVariants) {
  const json document = json::parse(std::ifstream(demo_model() / "tokenizer.json"));
  const json all = read_golden("tokenizer_json.json");
  ASSERT_GE(all["variants"][0]["cases"].size(), 150U);
  for (const json& variant : all["variants"]) {
    SCOPED_TRACE(variant["name"].get<std::string>());
    json edited = document;
    edited.update(variant["edits"]);
    const Scratch folder;
    folder.write("tokenizer.json", edited.dump());
    // Without a decoder, or without byte fallback in it, text does not grow token by token; nothing of the Llama family is so.
    const bool streams = !variant["edits"].contains("decoder");
    expect_cases(open_tokenizer(folder.path()), variant["cases"], streams);
  }
}

/// The first variant's edits are a document, which the others edit.
void expect_variants(const json& all) {
  const json document = all["variants"][0]["edits"];
  for (const json& variant : all["variants"]) {
    SCOPED_TRACE(variant["name"].get<std::string>());
    ASSERT_GE(variant["cases"].size(), 20U);
    json edited = document;
    edited.update(variant["edits"]);
    const Scratch folder;
    folder.write("tokenizer.json", edited.dump());
    expect_cases(open_tokenizer(folder.path()), variant["cases"], true);
  }
}

TEST(TokenizerGolden, ByteLevel) {
  const json all = read_golden("byte_level.json");
  ASSERT_GE(all["variants"].size(), 20U);
  expect_variants(all);
}

TEST(TokenizerGolden, Unigram) {
  const json all = read_golden("unigram.json");
  ASSERT_GE(all["variants"].size(), 10U);
  ASSERT_GE(all["variants"][0]["cases"].size(), 200U);
  expect_variants(all);
}

TEST(TokenizerGolden, TokenizerModel) {
  const json all = read_golden("tokenizer_model.json");
  ASSERT_EQ(all["variants"].size(), 3U);
  ASSERT_GE(all["variants"][0]["cases"].size(), 150U);
  for (const json& variant : all["variants"]) {
    SCOPED_TRACE(variant["config"].dump());
    const Scratch folder;
    std::filesystem::copy_file(demo_model() / "tokenizer.model", folder / "tokenizer.model");
    folder.write("tokenizer_config.json", variant["config"].dump());
    expect_cases(open_tokenizer(folder.path()), variant["cases"], true);
  }
}

}  // namespace
}  // namespace lora_dist::tokenizer_golden_test

// What the golden cases do not show: speed on one long word, continuation, streaming, special ids.
#include "src/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "src/core/utf8.h"
#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"

namespace lora_dist::tokenizer_test {
namespace {

using Ids = std::vector<std::int32_t>;

Tokenizer demo_from_model() {
  const Scratch folder;
  std::filesystem::copy_file(demo_model() / "tokenizer.model", folder / "tokenizer.model");
  std::filesystem::copy_file(demo_model() / "tokenizer_config.json", folder / "tokenizer_config.json");
  return open_tokenizer(folder.path());
}

TEST(Tokenizer, SpecialIdsAndVocabulary) {
  for (const Tokenizer& t : {open_tokenizer(demo_model()), demo_from_model()}) {
    EXPECT_EQ(t.bos, 1);
    EXPECT_EQ(t.eos, 2);
    EXPECT_EQ(t.unk, 0);
    EXPECT_FALSE(t.pad);
    EXPECT_EQ(t.vocab_size, 512);
    EXPECT_EQ(t.prefix, Ids{1});
    EXPECT_TRUE(t.suffix.empty());
    EXPECT_FALSE(t.has_chat_template);
    EXPECT_EQ(token_text(t, 1), "<s>");
    EXPECT_EQ(token_text(t, 13), "<0x0A>");
    EXPECT_EQ(token_text(t, 410), "\xE2\x96\x81");
    EXPECT_EQ(token_text(t, 600), "<id 600>");
    EXPECT_EQ(token_text(t, -5), "<id -5>");
    EXPECT_EQ(token_id(t, "</s>"), 2);
    EXPECT_EQ(token_id(t, "\xE2\x96\x81"), 410);
    EXPECT_FALSE(token_id(t, "no such token"));
    EXPECT_EQ(decode(t, Ids{1, 403, 9999, -1, 2}, true), decode(t, Ids{403}, true));
  }
}

TEST(Tokenizer, PrefersTokenizerJson) {
  EXPECT_EQ(open_tokenizer(demo_model()).file.filename(), "tokenizer.json");
  EXPECT_TRUE(has_tokenizer(demo_model()));
  EXPECT_FALSE(has_tokenizer(Scratch().path()));
}

/// A tokenizer.model that drops spaces at the ends of a text, read as its own settings say.
Tokenizer demo_as_it_stands() {
  const Scratch folder;
  std::filesystem::copy_file(demo_model() / "tokenizer.model", folder / "tokenizer.model");
  folder.write("tokenizer_config.json", R"({"add_bos_token": true})");
  return open_tokenizer(folder.path());
}

TEST(Tokenizer, PromptAndContinuationJoinToTheText) {
  for (const Tokenizer& t : {open_tokenizer(demo_model()), demo_from_model(), demo_as_it_stands()}) {
    for (const auto& [a, b] : std::vector<std::pair<std::string, std::string>>{
             {"Once upon", " a time"}, {"Answer:", " yes"}, {"x\n", "y"}, {"the", "re"}, {"Q?\n", "가 나"}, {"a", "😀"}}) {
      Ids ids = encode_prompt(t, a);
      const Ids more = encode_continuation(t, b);
      ids.insert(ids.end(), more.begin(), more.end());
      EXPECT_EQ(decode(t, ids, true), a + b) << t.file;
    }
    // Where no merge crosses the border the ids are those of the whole text.
    Ids ids = encode_prompt(t, "Answer:");
    const Ids more = encode_continuation(t, " yes, it is");
    ids.insert(ids.end(), more.begin(), more.end());
    EXPECT_EQ(ids, encode(t, "Answer: yes, it is", true));
  }
}

TEST(Tokenizer, PromptDoesNotDoubleBos) {
  const Tokenizer t = open_tokenizer(demo_model());
  EXPECT_EQ(encode_prompt(t, "<s>a"), encode(t, "<s>a", false));
  EXPECT_EQ(encode(t, "<s>a", true)[1], 1);  // as Hugging Face's
  EXPECT_EQ(encode_prompt(t, ""), Ids{1});
}

TEST(Tokenizer, ChatTemplatesAreSeen) {
  const Scratch folder;
  std::filesystem::copy_file(demo_model() / "tokenizer.json", folder / "tokenizer.json");
  EXPECT_FALSE(open_tokenizer(folder.path()).has_chat_template);
  folder.write("tokenizer_config.json", R"({"chat_template": "x"})");
  EXPECT_TRUE(open_tokenizer(folder.path()).has_chat_template);
  std::filesystem::remove(folder / "tokenizer_config.json");
  folder.write("chat_template.jinja", "x");
  EXPECT_TRUE(open_tokenizer(folder.path()).has_chat_template);
}

TEST(Tokenizer, SizesWithAndWithoutAddedTokens) {
  const Scratch folder;
  std::filesystem::copy_file(demo_model() / "tokenizer.model", folder / "tokenizer.model");
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer", "pad_token": "[PAD]"})");
  const Tokenizer t = open_tokenizer(folder.path());
  EXPECT_EQ(t.model_size, 512);
  EXPECT_EQ(t.vocab_size, 513);
  EXPECT_TRUE(has_token(t, 512));
  EXPECT_FALSE(has_token(t, 513));
}

// Quadratic merging of 1,000,000 characters without a space would take hours; the test's own time limit is the check.
TEST(Tokenizer, OneWordOfAMillionCharacters) {
  const Tokenizer t = open_tokenizer(demo_model());
  const std::string text(1000000, 'a');
  const Ids ids = encode(t, text, false);
  EXPECT_EQ(decode(t, ids, true), text);
}

TEST(StreamDecoder, NeverGivesHalfACharacter) {
  for (const Tokenizer& t : {open_tokenizer(demo_model()), demo_from_model()}) {
    const std::string text = "smile 😀 é 가나 end";
    StreamDecoder decoder{&t};
    std::string out;
    bool held_something = false;
    for (const std::int32_t id : encode(t, text, true)) {
      const std::string piece = push(decoder, id);
      EXPECT_TRUE(is_utf8(piece));
      held_something = held_something || !decoder.held.empty();
      out += piece;
    }
    EXPECT_EQ(out, text);
    EXPECT_EQ(finish(decoder), "");
    EXPECT_TRUE(held_something);
  }
}

TEST(StreamDecoder, BytesThatCannotBecomeACharacter) {
  const Tokenizer t = open_tokenizer(demo_model());
  const auto byte = [&](const char* name) { return token_id(t, name).value(); };
  StreamDecoder decoder{&t};
  EXPECT_EQ(push(decoder, byte("<0xF0>")), "");
  EXPECT_EQ(push(decoder, byte("<0x9F>")), "");
  EXPECT_EQ(push(decoder, byte("<0x41>")),
            "\xEF\xBF\xBD\xEF\xBF\xBD"
            "A");
  EXPECT_EQ(push(decoder, byte("<0xE2>")), "");
  EXPECT_EQ(push(decoder, token_id(t, "a").value()),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(push(decoder, byte("<0xFF>")), "");
  EXPECT_EQ(push(decoder, byte("<0xFF>")), "\xEF\xBF\xBD");
  EXPECT_EQ(finish(decoder), "\xEF\xBF\xBD");
  EXPECT_EQ(finish(decoder), "");
}

TEST(StreamDecoder, SpecialTokensAreLeftOutOrShown) {
  const Tokenizer t = open_tokenizer(demo_model());
  const Ids ids = encode(t, "Once</s>", true);
  for (const bool skip : {true, false}) {
    StreamDecoder decoder{&t, skip};
    std::string out;
    for (const std::int32_t id : ids) {
      out += push(decoder, id);
    }
    EXPECT_EQ(out, decode(t, ids, skip));
  }
}

}  // namespace
}  // namespace lora_dist::tokenizer_test

// Vocabularies of GGUF files: ids equal those of the folder's own tokenizer, which is tested against Hugging Face's.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "src/io/gguf_model.h"
#include "src/io/strict_json.h"
#include "src/tokenizer/tokenizer.h"
#include "tests/support/demo_gguf.h"
#include "tests/support/scratch.h"
#include "tests/support/test_data.h"

namespace lora_dist::gguf_vocabulary_test {
namespace {

using nlohmann::json;
using test::GgufWriter;
using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<std::string> kTexts = {
    "Once upon a time",
    " 두 칸  띄어쓰기, 그리고 숫자 2024년 12월 31일.\n",
    "def f(x):\n    return x**2  # 제곱\n\n\n\tif a != 'b': print(\"it's\", 12345)\n",
    "\xF0\x9F\x98\x80 \xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x92\xBB caf\x65\xCC\x81 \xE4\xB8\xAD\xE6\x96\x87",
    "",
    "   leading, trailing   ",
    "They'll WE'RE I'd 1/2 \xC2\xBD \xD9\xA1\xD9\xA2\xD9\xA3 <s>x</s>",
};

void expect_same_ids(const Tokenizer& gguf, const Tokenizer& folder) {
  for (const std::string& text : kTexts) {
    const auto ids = encode(folder, text, true);
    EXPECT_EQ(encode(gguf, text, true), ids) << text;
    EXPECT_EQ(decode(gguf, ids, true), decode(folder, ids, true)) << text;
  }
}

/// But for `legacy`, of which GGUF files know nothing.
TEST(GgufVocabulary, SentencepieceGivesTheFoldersIds) {
  const Scratch scratch;
  const Tokenizer gguf = open_tokenizer(test::put_demo_gguf(scratch / "m.gguf"));
  json config = read_json_file(demo_model() / "tokenizer_config.json", ExitCode::internal);
  config["legacy"] = false;
  scratch.write("folder/tokenizer_config.json", config.dump());
  std::filesystem::copy_file(demo_model() / "tokenizer.json", scratch / "folder/tokenizer.json");
  expect_same_ids(gguf, open_tokenizer(scratch / "folder"));
  EXPECT_EQ(gguf.bos, 1);
  EXPECT_EQ(gguf.eos, 2);
  EXPECT_EQ(gguf.vocab_size, 512);
  EXPECT_THAT(gguf.notes, ElementsAre());
  EXPECT_FALSE(gguf.has_chat_template);
}

/// The lists that llama.cpp's converter makes of a byte-level tokenizer.json.
void add_vocabulary(GgufWriter& out, const json& document, const std::string& pre) {
  std::map<std::size_t, std::string> tokens;
  std::map<std::size_t, std::int32_t> types;
  for (const auto& [token, id] : document["model"]["vocab"].items()) {
    tokens[id.get<std::size_t>()] = token;
  }
  for (const auto& token : document["added_tokens"]) {
    tokens[token["id"].get<std::size_t>()] = token["content"].get<std::string>();
    types[token["id"].get<std::size_t>()] = token["special"].get<bool>() ? 3 : 4;
  }
  std::vector<std::string> texts;
  std::vector<std::int32_t> kinds;
  for (std::size_t id = 0; id <= tokens.rbegin()->first; ++id) {
    texts.push_back(tokens.contains(id) ? tokens[id] : "[PAD" + std::to_string(id) + "]");
    kinds.push_back(!tokens.contains(id) ? 5 : types.contains(id) ? types[id] : 1);
  }
  std::vector<std::string> merges;
  for (const auto& merge : document["model"]["merges"]) {
    merges.push_back(merge.is_string() ? merge.get<std::string>()
                                       : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  out.text("tokenizer.ggml.model", "gpt2");
  out.text("tokenizer.ggml.pre", pre);
  out.texts("tokenizer.ggml.tokens", texts);
  out.list("tokenizer.ggml.token_type", 5, kinds);
  out.texts("tokenizer.ggml.merges", merges);
  out.tensor("token_embd.weight", {1, texts.size()}, 1, std::string(texts.size() * 2, '\0'));
}

/// A tiny model with that vocabulary.
void add_model(GgufWriter& out, const std::string& architecture) {
  out.text("general.architecture", architecture);
  for (const char* key : {"context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count"}) {
    out.number(architecture + "." + key, 1);
  }
  const bool rms = architecture != "gpt2" && architecture != "gptneox";
  out.real(architecture + (rms ? ".attention.layer_norm_rms_epsilon" : ".attention.layer_norm_epsilon"), 1e-5F);
}

struct BpeCase {
  const char* folder;
  const char* architecture;
  const char* pre;
  bool adds_bos = false;
};

class GgufBpe : public testing::TestWithParam<BpeCase> {};

TEST_P(GgufBpe, GivesTheFoldersIds) {
  const BpeCase& c = GetParam();
  if (!test_data()) {
    GTEST_SKIP() << "LORA_DIST_TEST_DATA is not set";
  }
  const Scratch scratch;
  const std::filesystem::path file = *test_data() / "tokenizers" / c.folder / "tokenizer.json";
  std::filesystem::create_directory(scratch / "folder");
  std::filesystem::copy_file(file, scratch / "folder/tokenizer.json");
  GgufWriter out;
  add_model(out, c.architecture);
  add_vocabulary(out, read_json_file(file, ExitCode::internal), c.pre);
  if (c.adds_bos) {
    out.number("tokenizer.ggml.bos_token_id", 128000);
  }
  put_file(scratch / "m.gguf", out.content());
  const Tokenizer gguf = open_tokenizer(scratch / "m.gguf");
  expect_same_ids(gguf, open_tokenizer(scratch / "folder"));
  EXPECT_THAT(gguf.notes, ElementsAre());
}

INSTANTIATE_TEST_SUITE_P(All, GgufBpe,
                         testing::Values(BpeCase{"llama3", "llama", "llama-bpe", true}, BpeCase{"qwen2", "qwen2", "qwen2"},
                                         BpeCase{"gpt2", "gpt2", "gpt-2"}, BpeCase{"neox", "gptneox", "olmo"},
                                         BpeCase{"exaone4", "exaone4", "exaone4"}),
                         [](const auto& info) { return std::string(info.param.folder); });

/// Tokens are the 256 bytes in GPT-2's alphabet where `text` needs them, and what it adds.
json small_document() {
  return {{"model",
           {{"vocab",
             {{"a", 0},
              {"1", 1},
              {"2", 2},
              {"\xC4\xA0", 3},
              {"12", 4},
              {"aa", 5},
              {"\xC4\xA0"
               "1",
               6}}},
            {"merges", {"\xC4\xA0 1", "1 2", "a a"}}}},
          {"added_tokens", {{{"id", 7}, {"content", "<end>"}, {"special", true}}}}};
}

std::vector<std::int32_t> ids_with(const std::string& pre, const std::string& text) {
  const Scratch scratch;
  GgufWriter out;
  add_model(out, "llama");
  add_vocabulary(out, small_document(), pre);
  put_file(scratch / "m.gguf", out.content());
  return encode(open_tokenizer(scratch / "m.gguf"), text, true);
}

TEST(GgufVocabulary, PreSaysHowDigitsAreCut) {
  EXPECT_THAT(ids_with("gpt-2", "aa12 12<end>"), ElementsAre(5, 4, 6, 2, 7));
  EXPECT_THAT(ids_with("smollm", "aa12 12"), ElementsAre(5, 1, 2, 3, 1, 2));
  EXPECT_THAT(ids_with("exaone", "aa12 12"), ElementsAre(5, 1, 2, 3, 1, 2));
  EXPECT_THAT(ids_with("default", "aa12 12"), ElementsAre(5, 4, 3, 4));
}

TEST(GgufVocabulary, ChatTemplatesAndFlags) {
  const Scratch scratch;
  GgufWriter out;
  add_model(out, "llama");
  add_vocabulary(out, small_document(), "gpt-2");
  out.text("tokenizer.chat_template", "{{ messages[0].content }}");
  out.number("tokenizer.ggml.eos_token_id", 7);
  out.flag("tokenizer.ggml.add_eos_token", true);
  put_file(scratch / "m.gguf", out.content());
  const Tokenizer tokenizer = open_tokenizer(scratch / "m.gguf");
  EXPECT_TRUE(tokenizer.has_chat_template);
  EXPECT_EQ(tokenizer.eos, 7);
  EXPECT_THAT(encode(tokenizer, "a", true), ElementsAre(0, 7));
  EXPECT_EQ(tokenizer.suffix_reason, "tokenizer.ggml.add_eos_token of the GGUF file");
}

GgufFile with_templates(const Scratch& scratch, const std::vector<std::string>& names, const std::string& named) {
  GgufWriter out;
  add_model(out, "llama");
  add_vocabulary(out, small_document(), "gpt-2");
  out.text("tokenizer.chat_template", "plain");
  out.texts("tokenizer.chat_templates", names);
  out.text("tokenizer.chat_template.tool_use", named);
  put_file(scratch / "m.gguf", out.content());
  return read_gguf(scratch / "m.gguf");
}

TEST(GgufVocabulary, NamedChatTemplates) {
  const Scratch scratch;
  const json config = gguf_tokenizer_config(with_templates(scratch, {"tool_use", "absent"}, "\xEB\x91\x90"));
  EXPECT_EQ(config["chat_template"],
            json::array({{{"name", "default"}, {"template", "plain"}}, {{"name", "tool_use"}, {"template", "\xEB\x91\x90"}}}));
  const auto problem = [&](const std::vector<std::string>& names, const std::string& named) {
    const Thrown error = thrown_by([&] { gguf_tokenizer_config(with_templates(scratch, names, named)); });
    EXPECT_EQ(error.code, ExitCode::model);
    return error.message;
  };
  EXPECT_THAT(problem({"tool_use"}, "\xFF"),
              HasSubstr("m.gguf: tokenizer.chat_template.tool_use is no UTF-8; convert the model again"));
  EXPECT_THAT(problem({"tool_use", "\xFF"}, "named"),
              HasSubstr("m.gguf: tokenizer.chat_templates has text that is no UTF-8 (entry 1); convert the model again"));
}

TEST(GgufVocabulary, NoTokens) {
  const Scratch scratch;
  GgufWriter out;
  add_model(out, "llama");
  out.text("tokenizer.ggml.model", "llama");
  put_file(scratch / "m.gguf", out.content());
  const GgufFile file = read_gguf(scratch / "m.gguf");
  for (const Thrown& error : {thrown_by([&] { gguf_tokenizer(file); }), thrown_by([&] { gguf_tokenizer_config(file); })}) {
    EXPECT_EQ(error.code, ExitCode::model);
    EXPECT_THAT(error.message, HasSubstr("m.gguf: key tokenizer.ggml.tokens is missing; convert the model again"));
  }
}

/// Pieces are joined in the order of their ids, whatever the scores; several spaces are a piece.
TEST(GgufVocabulary, GemmasPieces) {
  const Scratch scratch;
  GgufWriter out;
  add_model(out, "gemma");
  out.text("tokenizer.ggml.model", "llama");
  out.texts("tokenizer.ggml.tokens", {"a", "b", "\xE2\x96\x81", "ab", "ba", "  ", "<x>"});
  out.list<float>("tokenizer.ggml.scores", 6, {0, 0, 0, -5, -1, 0, 0});
  out.list<std::int32_t>("tokenizer.ggml.token_type", 5, {1, 1, 1, 1, 1, 4, 4});
  out.flag("tokenizer.ggml.add_bos_token", false);
  out.tensor("token_embd.weight", {1, 7}, 1, std::string(14, '\0'));
  put_file(scratch / "m.gguf", out.content());
  const Tokenizer tokenizer = open_tokenizer(scratch / "m.gguf");
  EXPECT_THAT(encode(tokenizer, "aba  b<x>", true), ElementsAre(3, 0, 5, 1, 6));
  EXPECT_EQ(decode(tokenizer, std::vector<std::int32_t>{3, 5, 6}, true), "ab  <x>");
}

template <class Change>
std::string problem_of(Change change) {
  const Scratch scratch;
  GgufWriter out;
  add_model(out, "llama");
  change(out);
  put_file(scratch / "m.gguf", out.content());
  const Thrown error = thrown_by([&] { open_tokenizer(scratch / "m.gguf"); });
  EXPECT_EQ(error.code, ExitCode::model);
  EXPECT_THAT(error.message, HasSubstr((scratch / "m.gguf").string()));
  return error.message;
}

TEST(GgufVocabulary, WhatIsNotKnownOrDoesNotFit) {
  const auto with = [](const std::string& model, auto change) {
    return problem_of([&](GgufWriter& out) {
      out.tensor("token_embd.weight", {1, 2}, 1, std::string(4, '\0'));
      out.text("tokenizer.ggml.model", model);
      change(out);
    });
  };
  const auto pair = [](GgufWriter& out) { out.texts("tokenizer.ggml.tokens", {"a", "b"}); };
  EXPECT_THAT(with("llama",
                   [](GgufWriter& out) {
                     out.texts("tokenizer.ggml.tokens", {"a", std::string(65537, 'b')});
                   }),
              HasSubstr("token 1 has 65537 bytes; at most 65536 are read"));
  EXPECT_THAT(with("b\x1B\n\xFF", pair), HasSubstr("tokenizer.ggml.model is \"b\\u001B\\u000A\\xFF\", and only"));
  EXPECT_THAT(with("gpt2",
                   [&](GgufWriter& out) {
                     pair(out);
                     out.text("tokenizer.ggml.pre", "b\x1B\n\xFF");
                   }),
              HasSubstr("tokenizer.ggml.pre is \"b\\u001B\\u000A\\xFF\", a pre-tokenizer"));
  EXPECT_THAT(with("bert", pair), HasSubstr("tokenizer.ggml.model is \"bert\", and only gpt2 and llama"));
  EXPECT_THAT(
      with("gpt2", pair),
      HasSubstr("key tokenizer.ggml.pre is missing, so the pre-tokenizer is unknown; convert the model again with a current "
                "llama.cpp"));
  EXPECT_THAT(with("llama", pair), HasSubstr("tokenizer.ggml.scores must be a finite number for each of the 2 tokens"));
  EXPECT_THAT(with("gpt2",
                   [&](GgufWriter& out) {
                     pair(out);
                     out.text("tokenizer.ggml.pre", "viking");
                   }),
              HasSubstr("tokenizer.ggml.pre is \"viking\", a pre-tokenizer that is not known (llama-bpe"));
  EXPECT_THAT(with("gpt2",
                   [&](GgufWriter& out) {
                     pair(out);
                     out.text("tokenizer.ggml.pre", "gpt-2");
                   }),
              HasSubstr("key tokenizer.ggml.merges is missing"));
  EXPECT_THAT(with("gpt2",
                   [&](GgufWriter& out) {
                     pair(out);
                     out.text("tokenizer.ggml.pre", "gpt-2");
                     out.texts("tokenizer.ggml.merges", {"a c"});
                   }),
              HasSubstr("uses a token that is not in the vocabulary"));
  EXPECT_THAT(with("llama",
                   [&](GgufWriter& out) {
                     pair(out);
                     out.list<std::int32_t>("tokenizer.ggml.token_type", 5, {1});
                   }),
              HasSubstr("tokenizer.ggml.token_type has 1 entries for 2 tokens"));
  EXPECT_THAT(with("llama",
                   [&](GgufWriter& out) {
                     pair(out);
                     out.list<std::int32_t>("tokenizer.ggml.token_type", 5, {1, 9});
                   }),
              HasSubstr("tokenizer.ggml.token_type has 9, and must be from 1 to 6"));
  EXPECT_THAT(with("llama",
                   [&](GgufWriter& out) {
                     pair(out);
                     out.number("tokenizer.ggml.eos_token_id", 2);
                   }),
              HasSubstr("tokenizer.ggml.eos_token_id is 2, outside the vocabulary of 2"));
  EXPECT_THAT(with("llama",
                   [](GgufWriter& out) {
                     out.texts("tokenizer.ggml.tokens", {"a", "\xFF"});
                   }),
              HasSubstr("tokenizer.ggml.tokens has text that is no UTF-8 (entry 1)"));
  EXPECT_THAT(with("llama",
                   [&](GgufWriter& out) {
                     pair(out);
                     out.list<float>("tokenizer.ggml.scores", 6, {0, 0});
                     out.text("tokenizer.chat_template", "\xFF");
                   }),
              HasSubstr("tokenizer.chat_template is no UTF-8; convert the model again"));
}

}  // namespace
}  // namespace lora_dist::gguf_vocabulary_test

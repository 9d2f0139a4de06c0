// Compares folders with conflicting tokens, flags and classes with transformers (tests/golden/make_tokenizer_folders.py), and
// tests the notes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "src/tokenizer/tokenizer.h"
#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"
#include "tests/tokenizer/golden_folder.h"

namespace lora_dist::tokenizer_folders_test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using Ids = std::vector<std::int32_t>;

json id_or_null(const std::optional<std::int32_t>& id) { return id ? json(*id) : json(); }

std::string streamed(const Tokenizer& tokenizer, const Ids& ids) {
  StreamDecoder decoder{&tokenizer};
  std::string out;
  for (const std::int32_t id : ids) {
    out += push(decoder, id);
  }
  return out + finish(decoder);
}

void expect_texts(const Tokenizer& tokenizer, const json& texts, const json& folder) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    SCOPED_TRACE(texts[i].get<std::string>());
    const auto ids = folder["ids"][i].get<Ids>();
    EXPECT_EQ(encode(tokenizer, texts[i].get<std::string>(), true), ids);
    EXPECT_EQ(streamed(tokenizer, ids), decode(tokenizer, ids, true));
    if (folder["name"] != "unigram") {  // the sentencepiece library's decoding, which takes spaces beside <unk> otherwise
      EXPECT_EQ(decode(tokenizer, ids, true), folder["text"][i].get<std::string>());
    }
  }
}

TEST(TokenizerFolders, IdsAreThoseOfTransformers5) {
  const json golden = read_golden("tokenizer_folders.json");
  ASSERT_GE(golden["folders"].size(), 130U);
  for (const json& one : golden["folders"]) {
    SCOPED_TRACE(one["name"].get<std::string>());
    const Scratch scratch;
    write_golden_folder(one, scratch);
    const Tokenizer tokenizer = open_tokenizer(scratch.path());
    expect_texts(tokenizer, golden["texts"], one);
    EXPECT_EQ(id_or_null(tokenizer.bos), one["bos"]);
    EXPECT_EQ(id_or_null(tokenizer.unk), one["unk"]);
    EXPECT_EQ(id_or_null(tokenizer.pad), one["pad"]);
    if (!one["eos"].is_null()) {
      EXPECT_EQ(id_or_null(tokenizer.eos), one["eos"]);
    }
    EXPECT_FALSE(tokenizer.prefix_reason.empty());
    EXPECT_FALSE(tokenizer.suffix_reason.empty());
  }
}

/// The golden folder of this name, opened.
Tokenizer open_golden(const std::string& name) {
  const json golden = read_golden("tokenizer_folders.json");
  for (const json& one : golden["folders"]) {
    if (one["name"] == name) {
      const Scratch scratch;
      write_golden_folder(one, scratch);
      return open_tokenizer(scratch.path());
    }
  }
  throw std::runtime_error("no folder " + name);
}

TEST(TokenizerFolders, NotesOnTokens) {
  EXPECT_THAT(open_golden("added_tokens_decoder beside tokenizer.json").notes, IsEmpty());
  EXPECT_THAT(open_golden("an id with a gap").notes,
              ElementsAre(AllOf(HasSubstr("whose id is not the one that a file states"),
                                HasSubstr("<|im_end|> (600 in added_tokens of tokenizer.json, here 512)"))));
  EXPECT_THAT(open_golden("the vocabulary's own id").notes,
              ElementsAre(HasSubstr("ing (512 in added_tokens of tokenizer.json, here ")));
  EXPECT_THAT(
      open_golden("additional_special_tokens").notes,
      ElementsAre("tokens without an id in any file were appended after the vocabulary, as in transformers: <|im_end|> (512), "
                  "[PAD] (513)"));
  EXPECT_THAT(
      open_golden("added_tokens_decoder, and others that do not count").notes,
      ElementsAre("special_tokens_map.json does not count beside added_tokens_decoder of tokenizer_config.json, nor does its "
                  "pad_token [PAD] (as in transformers)",
                  HasSubstr("so that these are no tokens: [PAD] of added_tokens.json")));
  EXPECT_THAT(
      open_golden("special_tokens_map.json rules over tokenizer_config.json").notes,
      Contains("tokenizer_config.json says pad_token = <x>, special_tokens_map.json [PAD], which counts (as in transformers)"));
}

TEST(TokenizerFolders, NotesOnClasses) {
  EXPECT_THAT(
      open_golden("qwen2, PreTrainedTokenizerFast").notes,
      Contains("the folder names PreTrainedTokenizer, but transformers 5 loads a qwen2 model with Qwen2Tokenizer, and so the "
               "ids are here"));
  EXPECT_THAT(open_golden("LlamaTokenizer, legacy False, json").notes,
              Contains(HasSubstr("LlamaTokenizer of transformers 5 normalizes and cuts text by steps of its own")));
  EXPECT_THAT(open_golden("LlamaTokenizer, legacy True, json").notes, Not(Contains(HasSubstr("steps of its own"))));
  EXPECT_THAT(open_golden("LlamaTokenizer, legacy None, model").notes,
              Contains(HasSubstr("transformers 4 and 5 do not make the same LlamaTokenizer of tokenizer.model")));
  EXPECT_THAT(
      open_golden("no class, legacy True").notes,
      Contains(HasSubstr("transformers 4 makes a LlamaTokenizer of tokenizer.model, transformers 5 a TokenizersBackend")));
  const Scratch folder;
  std::filesystem::copy_file(demo_model() / "tokenizer.json", folder / "tokenizer.json");
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "MyTokenizer"})");
  EXPECT_THAT(open_tokenizer(folder.path()).notes,
              ElementsAre("the tokenizer class MyTokenizer is not known; tokenizer.json is used as it stands"));
}

TEST(TokenizerFolders, ReasonsOfBosAndEos) {
  const auto reasons = [](const std::string& name) {
    const Tokenizer tokenizer = open_golden(name);
    return std::vector{tokenizer.prefix_reason, tokenizer.suffix_reason};
  };
  EXPECT_THAT(reasons("PreTrainedTokenizerFast: EOS wanted"),
              ElementsAre("post_processor of tokenizer.json", "post_processor of tokenizer.json"));
  EXPECT_THAT(reasons("a bos_token that is null"),
              ElementsAre("tokenizer.json has no post_processor", "tokenizer.json has no post_processor"));
  EXPECT_THAT(reasons("LlamaTokenizer without a space in front"),
              ElementsAre("add_bos_token of tokenizer_config.json", "add_eos_token of tokenizer_config.json"));
  EXPECT_THAT(reasons("LlamaTokenizer, legacy True, model"), ElementsAre("no add_bos_token = true in tokenizer_config.json",
                                                                         "no add_eos_token = true in tokenizer_config.json"));
  EXPECT_THAT(reasons("GPTNeoXTokenizerFast: EOS wanted"), Each(HasSubstr("GPTNeoXTokenizer of transformers 5, whatever")));
}

TEST(TokenizerFolders, NotesOnFlagsWithoutEffect) {
  EXPECT_THAT(
      open_golden("PreTrainedTokenizerFast: EOS wanted").notes,
      ElementsAre("add_eos_token = true in tokenizer_config.json has no effect in transformers 5, nor here: no EOS stands "
                  "after a text (post_processor of tokenizer.json)"));
  EXPECT_THAT(
      open_golden("LlamaTokenizer: no BOS wanted").notes,
      Contains("add_bos_token = false in tokenizer_config.json has no effect in transformers 5, nor here: BOS stands before "
               "a text (post_processor of tokenizer.json); transformers 4 obeys it"));
  EXPECT_THAT(open_golden("LlamaTokenizer, legacy True, model").notes,
              Contains("transformers 4 puts BOS before a text, transformers 5 does not; this program follows version 5 (no "
                       "add_bos_token = true in "
                       "tokenizer_config.json)"));
  const Scratch folder;
  std::filesystem::copy_file(demo_model() / "tokenizer.model", folder / "tokenizer.model");
  folder.write("tokenizer_config.json",
               R"({"tokenizer_class": "LlamaTokenizer", "legacy": true, "bos_token": null, "add_bos_token": true})");
  const Tokenizer tokenizer = open_tokenizer(folder.path());
  EXPECT_THAT(tokenizer.notes, Contains("add_bos_token is true, but the folder has no bos_token: no BOS stands before a text"));
  EXPECT_EQ(tokenizer.prefix_reason, "the folder has no bos_token");
  EXPECT_EQ(encode(tokenizer, "a", true), encode(tokenizer, "a", false));
}

TEST(TokenizerFolders, WhereTheVersionsDifferThereIsANote) {
  const json golden = read_golden("tokenizer_folders.json");
  int differ = 0;
  for (const json& one : golden["folders"]) {
    // Version 4 knows no image_token, nor what else a model may call its own.
    if (!one.contains("ids_4") || one["name"] == "extra_special_tokens with names" || one["base"] == "pair" ||
        one["base"] == "bytes" || one["name"].get<std::string>().starts_with("random")) {
      continue;
    }
    SCOPED_TRACE(one["name"].get<std::string>());
    ++differ;
    EXPECT_THAT(open_golden(one["name"]).notes, Contains(testing::AnyOf(HasSubstr("transformers 4"), HasSubstr("version 4"))));
  }
  EXPECT_GE(differ, 15);
}

/// Ids of AutoTokenizer (transformers 5.24.0) for the folder "unigram" with this flag.
TEST(TokenizerFolders, SpecialTokensAreCutBesideATokenizerModelToo) {
  const json golden = read_golden("tokenizer_folders.json");
  const auto unigram =
      std::find_if(golden["folders"].begin(), golden["folders"].end(), [](const json& one) { return one["name"] == "unigram"; });
  ASSERT_NE(unigram, golden["folders"].end());
  const Scratch folder;
  write_golden_folder(*unigram, folder);
  EXPECT_EQ(encode(open_tokenizer(folder.path()), "hi<y>there", true), (Ids{1, 13, 39, 12}));
  folder.write("tokenizer_config.json", R"({"pad_token": "<y>", "add_bos_token": true, "split_special_tokens": true})");
  const Tokenizer tokenizer = open_tokenizer(folder.path());
  EXPECT_EQ(encode(tokenizer, "hi<y>there", true), (Ids{1, 13, 0, 11}));
  EXPECT_EQ(encode(tokenizer, "<y>", true), (Ids{1, 18, 0}));
  EXPECT_EQ(encode(tokenizer, "the <y> tw", true), (Ids{1, 18, 10, 18, 0, 18, 15}));
  EXPECT_THAT(tokenizer.notes,
              Contains(HasSubstr("split_special_tokens: control tokens of tokenizer.model (<s>, </s>) that stand")));
}

TEST(TokenizerFolders, AnEosThatNoFileNames) {
  const Scratch folder;
  std::filesystem::copy_file(demo_model() / "tokenizer.json", folder / "tokenizer.json");
  EXPECT_EQ(open_tokenizer(folder.path()).eos, 2);  // texts are trained to end
  EXPECT_FALSE(open_tokenizer(folder.path()).bos);
  folder.write("tokenizer_config.json", R"({"eos_token": null})");
  EXPECT_FALSE(open_tokenizer(folder.path()).eos);
}

}  // namespace
}  // namespace lora_dist::tokenizer_folders_test

// Tokenizers of folders as keys of GGUF files: named pre-tokenizers, types of tokens, and what is refused.
#include <gmock/gmock.h>

#include <sstream>

#include "src/io/strict_json.h"
#include "src/io/write_gguf.h"
#include "src/tokenizer/gguf_vocabulary.h"
#include "src/tokenizer/tokenizer.h"
#include "tests/support/test_data.h"
#include "tests/tokenizer/golden_folder.h"

namespace lora_dist::written_gguf_vocabulary_test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

/// A folder with a variant of byte_level.json.
void put_variant(const std::string& name, const fs::path& folder) {
  const json variants = read_golden("byte_level.json")["variants"];
  json document = variants[0]["edits"];
  for (const json& variant : variants) {
    if (variant["name"] == name) {
      document.update(variant["edits"]);
    }
  }
  fs::create_directories(folder);
  put_file(folder / "tokenizer.json", document.dump());
}

template <class T>
T value_of(const std::vector<GgufKey>& keys, const std::string& name) {
  for (const GgufKey& key : keys) {
    if (key.name == "tokenizer.ggml." + name) {
      return std::get<T>(key.value);
    }
  }
  ADD_FAILURE() << "no key " << name;
  return T{};
}

std::string pre_of(const fs::path& folder, const char* model_type) {
  return value_of<std::string>(gguf_vocabulary(folder, model_type, 2000, {}), "pre");
}

/// A file that has the keys, of a model with no layers to speak of.
fs::path put_gguf(const std::vector<GgufKey>& vocabulary, std::int64_t rows, const fs::path& file) {
  std::vector<GgufKey> keys = {{"general.architecture", std::string("llama")}, {"llama.attention.layer_norm_rms_epsilon", 1e-5F}};
  for (const char* key : {"context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count"}) {
    keys.push_back({std::string("llama.") + key, std::uint32_t{1}});
  }
  keys.insert(keys.end(), vocabulary.begin(), vocabulary.end());
  write_gguf_header(file, keys, {{"token_embd.weight", find_ggml_type(1), {rows, 1}}}, {});
  return file;
}

TEST(WrittenGgufVocabulary, PreTokenizersAreNamedByTheirSteps) {
  const Scratch scratch;
  const std::vector<std::array<const char*, 3>> cases = {
      {"gpt2", "llama", "gpt-2"},         {"gpt2", "exaone4", "exaone4"},           {"llama3", "llama", "llama-bpe"},
      {"qwen2", "qwen3", "qwen2"},        {"starcoder", "exaone", "exaone"},        {"starcoder", "llama", "smollm"},
      {"starcoder", "granite", "refact"}, {"starcoder", "starcoder2", "starcoder"}, {"qwen2", "stablelm", "stablelm2"},
      {"o200k", "phi3", "gpt-4o"},        {"tekken", "ministral3", "tekken"},       {"merges as strings", "llama", "gpt-2"}};
  for (const auto& [variant, model_type, pre] : cases) {
    put_variant(variant, scratch / "folder");
    EXPECT_EQ(pre_of(scratch / "folder", model_type), pre) << variant;
    check_gguf_vocabulary(scratch / "folder",
                          put_gguf(gguf_vocabulary(scratch / "folder", model_type, 2000, {}), 2000, scratch / "m.gguf"));
  }
}

/// Llama 3's cuts without its way with merges are dbrx's (OLMo 2, Phi-4) and glm4's; a Split may also keep what it matches.
TEST(WrittenGgufVocabulary, OtherFormsOfKnownCuts) {
  const Scratch scratch;
  put_variant("llama3", scratch / "folder");
  json document = read_json_file(scratch / "folder/tokenizer.json", ExitCode::internal);
  document["model"]["ignore_merges"] = false;
  put_file(scratch / "folder/tokenizer.json", document.dump());
  EXPECT_EQ(pre_of(scratch / "folder", "olmo2"), "dbrx");
  EXPECT_EQ(pre_of(scratch / "folder", "glm4"), "glm4");
  json& split = document["pre_tokenizer"]["pretokenizers"][0];
  split["behavior"] = "Removed";
  split["invert"] = true;
  put_file(scratch / "folder/tokenizer.json", document.dump());
  EXPECT_EQ(pre_of(scratch / "folder", "olmo2"), "dbrx");
  check_gguf_vocabulary(scratch / "folder",
                        put_gguf(gguf_vocabulary(scratch / "folder", "olmo2", 2000, {}), 2000, scratch / "m.gguf"));
  put_variant("starcoder", scratch / "folder");
  document = read_json_file(scratch / "folder/tokenizer.json", ExitCode::internal);
  document["normalizer"] = {{"type", "NFC"}};
  put_file(scratch / "folder/tokenizer.json", document.dump());
  EXPECT_EQ(pre_of(scratch / "folder", "cohere2"), "command-r");
}

TEST(WrittenGgufVocabulary, UnknownPreTokenizersAreRefusedByName) {
  const Scratch scratch;
  for (const char* variant : {"deepseek", "falcon", "nfkc", "prefix space"}) {
    put_variant(variant, scratch / "folder");
    const Thrown thrown = thrown_by([&] { pre_of(scratch / "folder", "llama"); });
    EXPECT_EQ(thrown.code, ExitCode::model) << variant;
    EXPECT_THAT(thrown.message, HasSubstr("tokenizer.json: the pre-tokenizer of TokenizersBackend (")) << variant;
    EXPECT_THAT(thrown.message, HasSubstr("has no name in GGUF files that this program knows (llama-bpe, ")) << variant;
  }
}

TEST(WrittenGgufVocabulary, TokensBeyondTheEmbedding) {
  const Scratch scratch;
  put_variant("gpt2", scratch / "folder");
  const std::int32_t tokens = open_tokenizer(scratch / "folder").vocab_size;
  const auto keys = gguf_vocabulary(scratch / "folder", "gpt2", tokens + 2, {});
  const auto texts = value_of<std::vector<std::string>>(keys, "tokens");
  const auto types = value_of<std::vector<std::int32_t>>(keys, "token_type");
  ASSERT_EQ(std::ssize(texts), tokens + 2);
  EXPECT_EQ(texts.back(), "[PAD" + std::to_string(tokens + 1) + "]");
  EXPECT_EQ(types.back(), 5);
  EXPECT_EQ(types[0], 3);  // <|end|>
  EXPECT_EQ(types[5], 1);
  const Thrown thrown = thrown_by([&] { gguf_vocabulary(scratch / "folder", "gpt2", tokens - 1, {}); });
  EXPECT_EQ(thrown.code, ExitCode::model);
  EXPECT_THAT(thrown.message, HasSubstr("tokenizer.json: token " + std::to_string(tokens - 1) + " ("));
  EXPECT_THAT(thrown.message, HasSubstr("has no row in the embedding of " + std::to_string(tokens - 1) + " rows"));
  const auto of_gemma = gguf_vocabulary(scratch / "folder", "gemma3_text", tokens - 1, {});  // as its converter does
  EXPECT_EQ(std::ssize(value_of<std::vector<std::string>>(of_gemma, "tokens")), tokens - 1);
}

TEST(WrittenGgufVocabulary, EndsOfAnswers) {
  const Scratch scratch;
  put_variant("gpt2", scratch / "folder");
  put_file(scratch / "folder/tokenizer_config.json", R"({"eos_token": "<|end|>"})");
  const auto keys = gguf_vocabulary(scratch / "folder", "llama", 2000, std::vector<std::int64_t>{0, 7, 9});
  EXPECT_EQ(value_of<std::uint32_t>(keys, "eos_token_id"), 0U);
  EXPECT_EQ(value_of<std::uint32_t>(keys, "eot_token_id"), 7U);
  EXPECT_EQ(value_of<std::uint32_t>(keys, "eom_token_id"), 9U);
  EXPECT_THAT(stop_ids_left_out(keys, std::vector<std::int64_t>{0, 7, 9, 11, 12, 11}), testing::ElementsAre(11, 12));
  EXPECT_THAT(stop_ids_left_out(keys, std::vector<std::int64_t>{9}), testing::IsEmpty());
  EXPECT_FALSE(value_of<bool>(keys, "add_bos_token"));
}

TEST(WrittenGgufVocabulary, OtherTokensAroundATextAreRefused) {
  const Scratch scratch;
  put_variant("bert", scratch / "folder");
  put_file(scratch / "folder/tokenizer_config.json", R"({"bos_token": "a", "eos_token": "<|end|>"})");
  const Thrown thrown = thrown_by([&] { gguf_vocabulary(scratch / "folder", "llama", 2000, {}); });
  EXPECT_EQ(thrown.code, ExitCode::model);
  EXPECT_THAT(thrown.message, HasSubstr("the tokens 0 stand around each text, and a GGUF file can only say whether BOS does"));
}

/// Exactly one BOS: the file says whether it stands before a text.
TEST(WrittenGgufVocabulary, SentencepieceKeepsScoresTypesAndBos) {
  const Scratch scratch;
  fs::create_directory(scratch / "folder");
  for (const char* file : {"tokenizer.model", "tokenizer.json", "tokenizer_config.json"}) {
    fs::copy_file(demo_model() / file, scratch / "folder" / file);
  }
  const auto of_pieces = gguf_vocabulary(scratch / "folder", "llama", 512, {});
  fs::remove(scratch / "folder/tokenizer.model");
  const auto of_merges = gguf_vocabulary(scratch / "folder", "llama", 512, {});
  for (const auto& keys : {of_pieces, of_merges}) {
    EXPECT_EQ(value_of<std::string>(keys, "model"), "llama");
    EXPECT_EQ(value_of<std::string>(keys, "pre"), "default");
    EXPECT_TRUE(value_of<bool>(keys, "add_bos_token"));
    EXPECT_TRUE(value_of<bool>(keys, "add_space_prefix"));
    EXPECT_EQ(value_of<std::uint32_t>(keys, "bos_token_id"), 1U);
    check_gguf_vocabulary(scratch / "folder", put_gguf(keys, 512, scratch / "m.gguf"));
    EXPECT_EQ(encode(open_tokenizer(scratch / "m.gguf"), "a", true)[0], 1);
  }
  const auto types = value_of<std::vector<std::int32_t>>(of_pieces, "token_type");
  EXPECT_THAT((std::vector<std::int32_t>(types.begin(), types.begin() + 4)), ElementsAre(2, 3, 3, 6));
  EXPECT_EQ(value_of<std::vector<float>>(of_pieces, "scores")[260], -1.0F);
  EXPECT_EQ(value_of<std::vector<float>>(of_merges, "scores")[260], -1.0F);
}

TEST(WrittenGgufVocabulary, OtherIdsAreNoticed) {
  const Scratch scratch;
  put_variant("starcoder", scratch / "folder");
  auto keys = gguf_vocabulary(scratch / "folder", "llama", 2000, {});
  ASSERT_EQ(keys[4].name, "tokenizer.ggml.merges");
  std::get<std::vector<std::string>>(keys[4].value).resize(1);
  const Thrown thrown = thrown_by([&] { check_gguf_vocabulary(scratch / "folder", put_gguf(keys, 2000, scratch / "m.gguf")); });
  EXPECT_EQ(thrown.code, ExitCode::model);
  EXPECT_THAT(thrown.message, HasSubstr("written as a GGUF file, this tokenizer would cut"));
}

TEST(WrittenGgufVocabulary, AFolderWithoutTokenizerHasNone) {
  const Scratch scratch;
  const auto keys = gguf_vocabulary(scratch.path(), "llama", 10, {});
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_EQ(value_of<std::string>(keys, "model"), "none");
}

/// Texts of llama.cpp's own tests with the ids that it gives them.
void expect_ids_of_llama_cpp(const Tokenizer& tokenizer, const fs::path& texts, const fs::path& ids) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  const std::string all = get_file(texts);
  std::istringstream lines(get_file(ids));
  int count = 0;
  for (std::size_t at = 0; at <= all.size(); ++count) {
    const std::size_t end = std::min(all.find(separator, at), all.size());
    std::string line;
    std::getline(lines, line);
    std::istringstream numbers(line);
    std::vector<std::int32_t> wanted;
    for (std::int32_t id = 0; numbers >> id;) {
      wanted.push_back(id);
    }
    EXPECT_EQ(encode(tokenizer, all.substr(at, end - at), false), wanted) << texts << " " << count;
    at = end + separator.size();
  }
  EXPECT_GT(count, 40);
}

/// The names are those that llama.cpp's converter finds by hashing the ids of a text.
TEST(WrittenGgufVocabulary, RealTokenizersHaveTheConvertersNames) {
  if (!test_data()) {
    GTEST_SKIP() << "LORA_DIST_TEST_DATA is not set";
  }
  const Scratch scratch;
  const std::vector<std::array<const char*, 3>> cases = {{"llama3", "llama", "llama-bpe"},
                                                         {"qwen2", "qwen2", "qwen2"},
                                                         {"gpt2", "gpt2", "gpt-2"},
                                                         {"neox", "gpt_neox", "olmo"},
                                                         {"exaone4", "exaone4", "exaone4"},
                                                         {"llama2", "llama", "default"},
                                                         {"mistral-newformat", "mistral", "default"}};
  for (const auto& [name, model_type, pre] : cases) {
    const fs::path folder = scratch / name;
    fs::copy(*test_data() / "tokenizers" / name, folder);
    fs::remove(folder / "config.json");
    put_file(folder / "config.json", json({{"model_type", model_type}}).dump());
    const std::int32_t rows = open_tokenizer(folder).vocab_size;
    const auto keys = gguf_vocabulary(folder, model_type, rows, {});
    EXPECT_EQ(value_of<std::string>(keys, "pre"), pre) << name;
    check_gguf_vocabulary(folder, put_gguf(keys, rows, scratch / "m.gguf"));
    const fs::path golden = *test_data() / "golden/llamacpp-tokenizer" / pre;
    if (fs::exists(golden.string() + ".inp")) {
      expect_ids_of_llama_cpp(open_tokenizer(scratch / "m.gguf"), golden.string() + ".inp", golden.string() + ".out");
    }
  }
}

}  // namespace
}  // namespace lora_dist::written_gguf_vocabulary_test

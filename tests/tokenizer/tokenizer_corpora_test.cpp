// Every id of whole corpora, for real tokenizers, against digests of Hugging Face's ids (tests/golden/make_tokenizer_digests.py).
// The tokenizers and corpora are not shipped: LORA_DIST_TEST_DATA names the folder that holds them.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "src/core/utf8.h"
#include "src/io/sha256.h"
#include "src/tokenizer/tokenizer.h"
#include "tests/support/corpus_texts.h"
#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"
#include "tests/support/test_data.h"

namespace lora_dist::tokenizer_corpora_test {
namespace {

using nlohmann::json;

#define NEEDS_TEST_DATA() \
  if (!test_data()) GTEST_SKIP() << "skipped: LORA_DIST_TEST_DATA names no folder with tokenizers, datasets and golden"

/// `files` of tokenizers/<name>, alone in a folder; the first under the name that a model folder gives it.
Tokenizer open_alone(const std::string& name, const std::vector<std::string>& files, const std::string& config = "") {
  const Scratch folder;
  for (const std::string& file : files) {
    const std::string as = file == "tokenizer_newformat.json" ? "tokenizer.json" : file;
    std::filesystem::copy_file(*test_data() / "tokenizers" / name / file, folder / as);
  }
  if (!config.empty()) {
    folder.write("tokenizer_config.json", config);
  }
  return open_tokenizer(folder.path());
}

std::string streamed(const Tokenizer& tokenizer, std::span<const std::int32_t> ids) {
  StreamDecoder decoder{&tokenizer};
  std::string out;
  for (const std::int32_t id : ids) {
    const std::string piece = push(decoder, id);
    EXPECT_TRUE(is_utf8(piece));
    out += piece;
  }
  return out + finish(decoder);
}

void expect_digests(const Tokenizer& tokenizer, const std::string& name) {
  const json golden = json::parse(std::ifstream(source_dir() / "tests/golden/tokenizer_digests.json"));
  for (const auto& [corpus, expected] : golden["digests"][name].items()) {
    SCOPED_TRACE(name + " on " + corpus);
    Sha256 ids_digest, text_digest;
    std::int64_t count = 0, number = 0;
    for (const json& file : golden["corpora"][corpus]) {
      for (const std::string& text : corpus_texts(*test_data() / "datasets" / file.get<std::string>())) {
        std::vector<std::int32_t> ids = encode(tokenizer, text, true);
        const std::string decoded = decode(tokenizer, ids, true);
        if (number++ % 50 == 0 && ids.size() < 10000) {
          EXPECT_EQ(streamed(tokenizer, ids), decoded);
        }
        count += static_cast<std::int64_t>(ids.size());
        ids.push_back(-1);
        ids_digest.update(std::as_bytes(std::span(ids)));
        text_digest.update(std::as_bytes(std::span(decoded.c_str(), decoded.size() + 1)));
      }
    }
    EXPECT_EQ(count, expected["count"].get<std::int64_t>());
    EXPECT_EQ(ids_digest.hex(), expected["ids"].get<std::string>());
    EXPECT_EQ(text_digest.hex(), expected["texts"].get<std::string>());
  }
}

TEST(TokenizerCorpora, Exaone4) {
  NEEDS_TEST_DATA();
  expect_digests(open_alone("exaone4", {"tokenizer.json"}), "exaone4/tokenizer.json");
}
TEST(TokenizerCorpora, Gpt2) {
  NEEDS_TEST_DATA();
  expect_digests(open_alone("gpt2", {"tokenizer.json"}), "gpt2/tokenizer.json");
}
TEST(TokenizerCorpora, Gpt2AsVocabularyAndMerges) {
  NEEDS_TEST_DATA();
  expect_digests(open_alone("gpt2", {"vocab.json", "merges.txt"}), "gpt2/tokenizer.json");
}
TEST(TokenizerCorpora, Llama2) {
  NEEDS_TEST_DATA();
  expect_digests(open_alone("llama2", {"tokenizer.json"}), "llama2/tokenizer.json");
}
TEST(TokenizerCorpora, Llama2AsTokenizerModel) {
  NEEDS_TEST_DATA();
  expect_digests(open_alone("llama2", {"tokenizer.model"}, R"({"add_bos_token": true})"), "llama2/tokenizer.model");
}
TEST(TokenizerCorpora, Llama3) {
  NEEDS_TEST_DATA();
  expect_digests(open_alone("llama3", {"tokenizer.json"}), "llama3/tokenizer.json");
}
TEST(TokenizerCorpora, Mistral) {
  NEEDS_TEST_DATA();
  expect_digests(open_alone("mistral-newformat", {"tokenizer.json"}), "mistral-newformat/tokenizer.json");
}
TEST(TokenizerCorpora, NeoX) {
  NEEDS_TEST_DATA();
  expect_digests(open_alone("neox", {"tokenizer.json"}), "neox/tokenizer.json");
}
TEST(TokenizerCorpora, NeoXInTheNewFormat) {
  NEEDS_TEST_DATA();
  expect_digests(open_alone("neox", {"tokenizer_newformat.json"}), "neox/tokenizer_newformat.json");
}
TEST(TokenizerCorpora, Qwen2) {
  NEEDS_TEST_DATA();
  expect_digests(open_alone("qwen2", {"tokenizer.json"}), "qwen2/tokenizer.json");
}
TEST(TokenizerCorpora, Qwen2AsVocabularyAndMerges) {
  NEEDS_TEST_DATA();
  expect_digests(open_alone("qwen2", {"vocab.json", "merges.txt"}, R"({"tokenizer_class": "Qwen2Tokenizer"})"),
                 "qwen2/tokenizer.json");
}

TEST(TokenizerCorpora, EveryFolderOpensAsItIs) {
  NEEDS_TEST_DATA();
  for (const auto& folder : std::filesystem::directory_iterator(*test_data() / "tokenizers")) {
    const Tokenizer tokenizer = open_tokenizer(folder.path());
    EXPECT_TRUE(tokenizer.eos) << folder.path();
    EXPECT_EQ(decode(tokenizer, encode(tokenizer, "당뇨병 is 3.5 %", true), true), "당뇨병 is 3.5 %") << folder.path();
  }
}

TEST(TokenizerCorpora, AFileOfTiktokenIsRefused) {
  NEEDS_TEST_DATA();
  const Thrown thrown = thrown_by([] { open_alone("llama3", {"tokenizer.model"}); });
  EXPECT_EQ(thrown.code, ExitCode::model);
  EXPECT_NE(thrown.message.find("is a list of tokens for tiktoken"), std::string::npos) << thrown.message;
}

/// llama.cpp's cases: texts divided by a line, and a line of ids for each, without special tokens.
void expect_llama_cpp(const Tokenizer& tokenizer, const std::string& name) {
  SCOPED_TRACE(name);
  const auto folder = *test_data() / "golden/llamacpp-tokenizer";
  const std::string inputs = get_file(folder / (name + ".inp"));
  std::istringstream outputs(get_file(folder / (name + ".out")));
  const std::string divider = "\n__ggml_vocab_test__\n";
  std::size_t begin = 0;
  for (std::size_t end = 0; begin < inputs.size(); begin = end + divider.size()) {
    end = inputs.find(divider, begin);
    ASSERT_NE(end, std::string::npos);
    const std::string text = inputs.substr(begin, end - begin);
    std::string line;
    ASSERT_TRUE(std::getline(outputs, line));
    std::istringstream numbers(line);
    const std::vector<std::int32_t> expected(std::istream_iterator<std::int32_t>(numbers), {});
    EXPECT_EQ(encode(tokenizer, text, false), expected) << text;
    EXPECT_EQ(streamed(tokenizer, expected), decode(tokenizer, expected, true));
  }
}

TEST(TokenizerCorpora, CasesOfLlamaCpp) {
  NEEDS_TEST_DATA();
  expect_llama_cpp(open_alone("gpt2", {"tokenizer.json"}), "gpt-2");
  expect_llama_cpp(open_alone("llama3", {"tokenizer.json"}), "llama-bpe");
  expect_llama_cpp(open_alone("llama2", {"tokenizer.json"}), "llama-spm");
  expect_llama_cpp(open_alone("qwen2", {"tokenizer.json"}), "qwen2");
}

}  // namespace
}  // namespace lora_dist::tokenizer_corpora_test

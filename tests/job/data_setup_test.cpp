// Tokenizers that fit an embedding or not.
#include "src/job/data_setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "src/core/error.h"
#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"

namespace lora_dist::data_setup_test {
namespace {

TEST(OpenModelTokenizer, TokensBeyondTheEmbeddingAreANote) {
  const Scratch folder;
  std::filesystem::copy_file(demo_model() / "tokenizer.json", folder / "tokenizer.json");
  folder.write("tokenizer_config.json", R"({"additional_special_tokens": ["<a>", "<b>", "<c>", "<d>"]})");
  ModelSpec spec;
  const auto last_note = [&](std::int64_t vocab) {
    spec.vocab = vocab;
    return open_model_tokenizer(folder.path(), spec)->notes.back();
  };
  EXPECT_EQ(last_note(515),
            "the embedding has only 515 rows, none for 1 token of the tokenizer: <d> (515); a text that has one is refused");
  EXPECT_EQ(
      last_note(512),
      "the embedding has only 512 rows, none for 4 tokens of the tokenizer: <a> (512), <b> (513), <c> (514), ...; a text that "
      "has one is refused");
  EXPECT_THAT(last_note(516), testing::Not(testing::HasSubstr("rows")));
  spec.vocab = 511;
  const Thrown thrown = thrown_by([&] { open_model_tokenizer(folder.path(), spec); });
  EXPECT_EQ(thrown.code, ExitCode::model);
  EXPECT_THAT(thrown.message, testing::HasSubstr("the tokenizer has ids up to 511, the embedding only 511 rows"));
}

TEST(WriteBadRows, NamesThatAreNoUtf8AndAnEarlierRunsList) {
  const Scratch folder;
  DatasetReport report;
  report.files.push_back({"caf\xE9.jsonl", "JSONL", false, 3});
  report.files[0].bad_rows.push_back({2, "the line is not JSON"});
  write_bad_rows(report, folder.path());
  EXPECT_EQ(get_file(folder / "bad_rows.jsonl"),
            "{\"file\":\"caf\uFFFD.jsonl\",\"row\":2,\"reason\":\"the line is not JSON\"}\n");
  report.files[0].bad_rows.clear();
  write_bad_rows(report, folder.path());
  EXPECT_FALSE(std::filesystem::exists(folder / "bad_rows.jsonl"));
}

TEST(OpenModelTokenizer, AFolderWithoutOne) { EXPECT_FALSE(open_model_tokenizer(Scratch().path(), ModelSpec{})); }

}  // namespace
}  // namespace lora_dist::data_setup_test

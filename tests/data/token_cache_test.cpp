// The token cache: round trips for any division of the rows; other files are rejected.
#include "src/data/token_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "src/io/sha256.h"
#include "tests/data/load.h"

namespace lora_dist::token_cache_test {
namespace {

using testing::HasSubstr;
using Bytes = std::vector<std::byte>;

const std::string kKey(64, 'a');

/// Texts, chats and ids in the four containers, some rows dropped or cut.
struct Files {
  Scratch folder;
  DataOptions options = without_split();

  Files() {
    std::string texts;
    for (int i = 0; i < 57; ++i) {
      texts += i % 9 == 4 ? "{\"text\": \" \"}\n" : "\n{\"text\": \"Once upon a time " + std::string(i, 'x') + "\"}\n";
    }
    folder.write("a.jsonl", texts);
    folder.write("b.json", R"([{"input_ids": [1, 2]}, {"input_ids": [1]}, {"input_ids": [3, 4, 5]}])");
    folder.write("c.csv", "question,answer\na,b\n\"c\nd\",e\n");
    folder.write("e.jsonl", [] {
      std::string chats;
      for (int i = 0; i < 5; ++i) {
        chats += R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}, )"
                 R"({"role": "assistant", "content": "b"}]})"
                 "\n";
      }
      return chats;
    }());
    folder.write("d.txt", "One paragraph\nof two lines\n\nAnother\n");
    options.train = {folder / "a.jsonl", folder / "b.json", folder / "c.csv", folder / "e.jsonl"};
    options.validation = {folder / "d.txt"};
    options.max_length = 40;
  }

  Bytes image(int ranks) const {
    std::vector<TokenizedRows> parts;
    for (int rank = 0; rank < ranks; ++rank) {
      RowShare share{rank, ranks};
      parts.push_back(tokenize_rows(options, &demo_tokenizer(), 512, share));
    }
    std::vector<TokenImage> views;
    for (const TokenizedRows& part : parts) {
      views.push_back(view_of(part));
    }
    return make_token_image(views, kKey);
  }
};

std::string problem_of(const Scratch& folder, const Bytes& bytes, const std::string& key = kKey) {
  const std::filesystem::path file = token_cache_file(folder.path(), key);
  put_file(file, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const CachedTokens cached = open_token_cache(file, key);
  EXPECT_EQ(cached.store.has_value(), cached.problem.empty());
  return cached.problem;
}

TEST(TokenImage, HoldsTheSameBytesHoweverRowsWereDivided) {
  const Files files;
  const Bytes whole = files.image(1);
  for (const int ranks : {2, 3, 4, 7, 80}) {
    EXPECT_TRUE(files.image(ranks) == whole) << ranks;
  }
}

TEST(TokenImage, AndAFileGiveTheDatasetThatLoadingGives) {
  const Files files;
  const Dataset loaded = load_dataset(files.options, &demo_tokenizer(), 512);
  const Scratch folder;
  const std::filesystem::path file = token_cache_file(folder / "deep/cache", kKey);
  write_token_cache(file, files.image(3));
  CachedTokens cached = open_token_cache(file, kKey);
  ASSERT_TRUE(cached.store) << cached.problem;
  EXPECT_TRUE(std::holds_alternative<MappedFile>(*cached.store));
  const Dataset read = make_dataset(std::move(*cached.store), files.options, &demo_tokenizer());
  EXPECT_EQ(render_report(read.report), render_report(loaded.report));
  EXPECT_THAT(render_report(read.report), testing::Contains("  6 dropped: nothing to learn: the completion is empty"));
  EXPECT_EQ(read.report.files[0].truncated, loaded.report.files[0].truncated);
  EXPECT_GT(read.report.files[0].truncated, 0);
  EXPECT_EQ(read.report.files[3].empty_answers, 5);
  ASSERT_EQ(read.train.size(), loaded.train.size());
  EXPECT_EQ(read.train.size(), 51U + 2U + 2U + 5U);
  for (std::size_t i = 0; i < read.train.size(); ++i) {
    EXPECT_EQ(read.train[i].id, loaded.train[i].id);
    EXPECT_EQ(read.train[i].file, loaded.train[i].file);
    EXPECT_EQ(read.train[i].row, loaded.train[i].row);
    EXPECT_EQ(copy_of(read.train[i].input_ids), copy_of(loaded.train[i].input_ids));
    EXPECT_EQ(copy_of(read.train[i].labels), copy_of(loaded.train[i].labels));
  }
  EXPECT_EQ(read.validation.size(), 2U);
}

TEST(TokenImage, PartsOfDifferentFilesAreRefused) {
  Files files;
  RowShare first{0, 2};
  RowShare second{1, 2};
  const TokenizedRows one = tokenize_rows(files.options, &demo_tokenizer(), 512, first);
  files.folder.write("b.json", R"([{"input_ids": [1, 2]}])");
  const TokenizedRows other = tokenize_rows(files.options, &demo_tokenizer(), 512, second);
  const std::vector<TokenImage> views = {view_of(one), view_of(other)};
  EXPECT_THAT(error_from([&] { make_token_image(views, ""); }), HasSubstr("3: the ranks do not read the same data"));
}

TEST(TokenCache, DamageIsFoundWhereverItIs) {
  const Scratch folder;
  const Bytes good = Files().image(1);
  EXPECT_EQ(problem_of(folder, good), "");
  for (std::size_t at = 0; at < good.size(); at += at < 400 ? 1 : 97) {
    Bytes bad = good;
    bad[at] ^= std::byte{0x04};
    EXPECT_THAT(problem_of(folder, bad), HasSubstr(".tokens is not used: ")) << at;
  }
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{175}, std::size_t{176}, good.size() / 2, good.size() - 1}) {
    EXPECT_THAT(problem_of(folder, Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size))),
                HasSubstr("is not used"))
        << size;
  }
  Bytes longer = good;
  longer.push_back(std::byte{0});
  EXPECT_THAT(problem_of(folder, longer), HasSubstr("its lengths do not add up"));
}

/// An invalid file with a right digest, as another program might write.
Bytes with_field(Bytes image, std::size_t offset, std::uint64_t value) {
  constexpr std::size_t kDigest = 112;
  std::memcpy(image.data() + offset, &value, sizeof value);
  std::memset(image.data() + kDigest, 0, 64);
  const std::string digest = sha256_of(image);
  std::memcpy(image.data() + kDigest, digest.data(), 64);
  return image;
}

TEST(TokenCache, LengthsAreCheckedBeforeTheyAreUsed) {
  const Scratch folder;
  const Bytes good = Files().image(1);
  EXPECT_EQ(problem_of(folder, with_field(good, 176, 0)), "");  // the first sample's id as it was: the digest is right
  EXPECT_THAT(problem_of(folder, with_field(good, 16, 3)), HasSubstr("or one of another version of this program"));
  for (const std::uint64_t count : {std::uint64_t{1} << 20, ~std::uint64_t{0}, ~std::uint64_t{0} / 24, std::uint64_t{1} << 63}) {
    EXPECT_THAT(problem_of(folder, with_field(good, 24, count)), HasSubstr("it is cut off")) << count;
    EXPECT_THAT(problem_of(folder, with_field(good, 32, count)), HasSubstr("it is cut off")) << count;
    EXPECT_THAT(problem_of(folder, with_field(good, 40, count)), HasSubstr("it is cut off")) << count;
  }
  EXPECT_THAT(problem_of(folder, with_field(good, 40, 5)), HasSubstr("its report is damaged"));
  EXPECT_THAT(problem_of(folder, with_field(good, 176, 500)), HasSubstr("its list of samples is damaged"));         // an id
  EXPECT_THAT(problem_of(folder, with_field(good, 192, 9)), HasSubstr("its list of samples is damaged"));           // no tokens
  EXPECT_THAT(problem_of(folder, with_field(good, 192, 1ULL << 32 | 5)), HasSubstr("list of samples is damaged"));  // file 5
  EXPECT_THAT(problem_of(folder, with_field(good, 192, 1ULL << 32)), HasSubstr("its lengths do not add up"));
}

TEST(TokenCache, AnotherKeyIsNotTaken) {
  const Scratch folder;
  const Bytes image = Files().image(1);
  const std::string other = kKey.substr(0, 63) + "b";
  EXPECT_EQ(token_cache_file("x", kKey), std::filesystem::path("x") / (std::string(32, 'a') + ".tokens"));
  EXPECT_THAT(problem_of(folder, image, other), HasSubstr("is not used: it belongs to other data or settings"));
}

TEST(TokenCache, NoFileIsNoProblemAndAFolderIsOne) {
  const Scratch folder;
  const CachedTokens none = open_token_cache(folder / "none.tokens", kKey);
  EXPECT_FALSE(none.store);
  EXPECT_EQ(none.problem, "");
  EXPECT_THAT(open_token_cache(folder.path(), kKey).problem, HasSubstr("Is a directory"));
}

TEST(TokenCache, WhereNothingCanBeWritten) {
  const Scratch folder;
  folder.write("file", "");
  EXPECT_THAT(error_from([&] { write_token_cache(folder / "file/cache/x.tokens", {}); }), HasSubstr("(data.cache_dir)"));
}

/// A model folder's tokenizer that may be changed.
struct KeyCase {
  Scratch folder;
  Tokenizer tokenizer = demo_tokenizer();
  DataOptions options;

  KeyCase() {
    folder.write("model/tokenizer.model", "a");
    folder.write("model/tokenizer_config.json", "{}");
    folder.write("one.jsonl", "1");
    folder.write("two.jsonl", "2");
    tokenizer.file = folder / "model/tokenizer.model";
    options.train = {folder / "one.jsonl", folder / "two.jsonl"};
  }
  std::string key(std::int64_t vocab_size = 512) const { return token_cache_key(options, &tokenizer, vocab_size); }
};

TEST(TokenCacheKey, DependsOnContentAndOptionsAlone) {
  KeyCase one;
  const std::string key = one.key();
  EXPECT_EQ(key.size(), 64U);
  EXPECT_EQ(KeyCase().key(), key);  // in another folder, at another time
  one.options.validation_split = 0.5;
  one.options.seed = 7;
  one.options.packing = false;
  one.options.shuffle = false;
  EXPECT_EQ(one.key(), key);  // what happens to samples later

  std::vector<std::string> keys = {key, one.key(513), token_cache_key(one.options, nullptr, 512)};
  const auto with = [&](const auto& change) {
    KeyCase changed;
    change(changed);
    keys.push_back(changed.key());
  };
  with([](KeyCase& c) { c.folder.write("two.jsonl", "3"); });
  with([](KeyCase& c) { c.folder.write("model/tokenizer.model", "b"); });
  with([](KeyCase& c) { c.folder.write("model/tokenizer_config.json", "{ }"); });
  with([](KeyCase& c) { c.folder.write("model/chat_template.jinja", ""); });
  with([](KeyCase& c) { c.folder.write("model/additional_chat_templates/tool_use.jinja", ""); });
  with([](KeyCase& c) { c.folder.write("model/additional_chat_templates/rag.jinja", ""); });
  with([](KeyCase& c) { c.folder.write("model/added_tokens.json", ""); });
  with([](KeyCase& c) { c.folder.write("model/config.json", "{}"); });
  with([](KeyCase& c) { std::swap(c.options.train[0], c.options.train[1]); });
  with([](KeyCase& c) { c.options.train.pop_back(); });
  with([](KeyCase& c) { c.options.validation = {c.options.train[0]}; });
  with([](KeyCase& c) {
    c.options.validation = {c.options.train[1]};
    c.options.train.pop_back();
  });
  with([](KeyCase& c) { c.options.train[1] = c.folder.write("two.txt", "2"); });
  with([](KeyCase& c) { c.options.format = RowKind::text; });
  with([](KeyCase& c) { c.options.row_template = RowTemplate::plain; });
  with([](KeyCase& c) { c.options.train_on = TrainOn::all; });
  with([](KeyCase& c) { c.options.max_length = 1025; });
  with([](KeyCase& c) { c.options.overlong = Overlong::drop; });
  with([](KeyCase& c) { c.options.bad_rows = BadRows::skip; });
  with([](KeyCase& c) { c.options.train[1] = c.folder.write("two.csv.gz", "2"); });
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(std::adjacent_find(keys.begin(), keys.end()), keys.end());
}

TEST(TokenCacheKey, ATemplateThatTellsTheDateHoldsForADay) {
  KeyCase one;
  const auto key_at = [&](const char* seconds) {
    ::setenv("SOURCE_DATE_EPOCH", seconds, 1);
    const std::string key = one.key();
    ::unsetenv("SOURCE_DATE_EPOCH");
    return key;
  };
  EXPECT_EQ(key_at("1700000000"), key_at("1800000000"));
  one.folder.write("model/chat_template.jinja", "{{ strftime_now('%d %b %Y') }}");
  EXPECT_EQ(key_at("1700000000"), key_at("1700000060"));
  EXPECT_NE(key_at("1700000000"), key_at("1700100000"));
  one.options.template_day = "2026-11-26";  // of the run that goes on
  EXPECT_EQ(key_at("1700000000"), key_at("1700100000"));
}

TEST(TokenCacheKey, FilesThatCannotBeReadAreNamed) {
  KeyCase one;
  one.options.train = {one.folder / "none.jsonl"};
  EXPECT_THAT(error_from([&] { one.key(); }), testing::AllOf(HasSubstr("3: cannot open"), HasSubstr("none.jsonl")));
}

}  // namespace
}  // namespace lora_dist::token_cache_test

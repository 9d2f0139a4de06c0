// Tokenizing by several ranks: bits and messages of one rank, with and without a cache, on one disk or several.
#include "src/job/tokenize_together.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/report/tokenizing_line.h"
#include "tests/support/scratch.h"
#include "tests/support/source_dir.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::tokenize_together_test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;

const Tokenizer& demo_tokenizer() {
  static const Tokenizer tokenizer = open_tokenizer(demo_model());
  return tokenizer;
}

DataOptions options_of(const fs::path& file) {
  DataOptions options;
  options.train = {file};
  options.validation_split = 0.2;
  return options;
}

std::string questions(int n) {
  std::string rows;
  for (int i = 0; i < n; ++i) {
    rows += R"({"question": "What is )" + std::string(static_cast<std::size_t>(i) % 7, 'x') + R"(?", "answer": "It is )" +
            std::to_string(i) + "\"}\n";
  }
  return rows;
}

std::string bytes_in(const Dataset& dataset) {
  const auto bytes = bytes_of(dataset.tokens);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_mapped(const Dataset& dataset) { return std::holds_alternative<MappedFile>(dataset.tokens); }

/// Every rank's dataset; `folder_of`: the cache folder from that rank's view.
std::vector<Dataset> on(int ranks, const DataOptions& options, const std::function<fs::path(int)>& folder_of) {
  std::vector<Dataset> out(static_cast<std::size_t>(ranks));
  test::on_ranks(ranks, [&](Communicator& world) {
    out[static_cast<std::size_t>(world.rank())] =
        tokenize_together(options, &demo_tokenizer(), 512, folder_of(world.rank()), world, Console{});
  });
  return out;
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder)) {
    out.push_back(entry.path());
  }
  return out;
}

void expect_same(const Dataset& ours, const Dataset& theirs) {
  EXPECT_EQ(render_report(ours.report), render_report(theirs.report));
  ASSERT_EQ(ours.train.size(), theirs.train.size());
  ASSERT_EQ(ours.validation.size(), theirs.validation.size());
  for (std::size_t i = 0; i < ours.train.size(); ++i) {
    EXPECT_EQ(ours.train[i].id, theirs.train[i].id);
    EXPECT_TRUE(std::ranges::equal(ours.train[i].input_ids, theirs.train[i].input_ids));
    EXPECT_TRUE(std::ranges::equal(ours.train[i].labels, theirs.train[i].labels));
  }
}

TEST(TokenizeTogether, AnyNumberOfRanksMakesTheSameFileAndTheNextRunMapsIt) {
  const Scratch scratch;
  const DataOptions options = options_of(scratch.write("x.jsonl", questions(50)));
  const Dataset serial = load_dataset(options, &demo_tokenizer(), 512);
  std::string first;
  for (const int ranks : {1, 2, 3, 4}) {
    const fs::path folder = scratch / std::to_string(ranks);
    for (int run = 0; run < 2; ++run) {
      for (const Dataset& dataset : on(ranks, options, [&](int) { return folder; })) {
        EXPECT_TRUE(is_mapped(dataset));
        expect_same(dataset, serial);
      }
    }
    ASSERT_EQ(files_in(folder).size(), 1U);
    const std::string content = get_file(files_in(folder)[0]);
    first = first.empty() ? content : first;
    EXPECT_TRUE(content == first) << ranks;
  }
}

TEST(TokenizeTogether, BadRowsKindsAndNotesAreThoseOfOneRank) {
  const Scratch scratch;
  std::string rows = "oops\n" + questions(20);
  for (int i = 0; i < 12; ++i) {
    rows +=
        i % 3 == 0 ? "{\"question\": \"no answer\"}\n"
        : i % 3 == 1
            ? "{\"text\": \"a\", \"messages\": null}\n"
            : R"({"context": "c", "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "masked": 1}]})"
              "\n";
  }
  DataOptions options = options_of(scratch.write("x.jsonl", rows));
  options.bad_rows = BadRows::skip;
  const Dataset serial = load_dataset(options, &demo_tokenizer(), 512);
  EXPECT_EQ(serial.report.files[0].bad_rows.size(), 5U);
  EXPECT_EQ(serial.report.files[0].kind(), "chat (4), qa (20) and text (4)");
  EXPECT_EQ(serial.report.files[0].unused_columns.count("context"), 1U);
  EXPECT_EQ(serial.report.files[0].unknown_flags.count("masked"), 1U);
  std::string first;
  for (const int ranks : {1, 2, 3, 4}) {
    const fs::path folder = scratch / std::to_string(ranks);
    for (int run = 0; run < 2; ++run) {
      for (const Dataset& dataset : on(ranks, options, [&](int) { return folder; })) {
        expect_same(dataset, serial);
      }
    }
    const std::string content = get_file(files_in(folder)[0]);
    first = first.empty() ? content : first;
    EXPECT_TRUE(content == first) << ranks;
  }
}

/// Too many bad rows in all shares together, or in one share, where reading ends: the same message on every rank.
TEST(TokenizeTogether, TooManyBadRowsAreTheSameErrorOnEveryRank) {
  const Scratch scratch;
  DataOptions options = options_of(scratch.write("x.jsonl", questions(3) + "a\nb\nc\nd\ne\nf\n" + questions(30)));
  options.bad_rows = BadRows::skip;
  for (const std::int64_t most : {5, 1}) {
    options.max_bad_rows = most;
    for (const int ranks : {1, 3}) {
      std::vector<std::string> said(static_cast<std::size_t>(ranks));
      test::on_ranks(ranks, [&](Communicator& world) {
        try {
          tokenize_together(options, &demo_tokenizer(), 512, "", world, Console{});
        } catch (const Error& e) {
          said[static_cast<std::size_t>(world.rank())] = e.what();
        }
      });
      EXPECT_THAT(said, Each(AllOf(HasSubstr("allows; one of them is "), HasSubstr("x.jsonl:4: the line is not JSON"))));
      EXPECT_THAT(said, Each(said[0]));
    }
  }
}

TEST(TokenizeTogether, WithoutACacheEveryRankHoldsTheTokens) {
  const Scratch scratch;
  const DataOptions options = options_of(scratch.write("x.jsonl", questions(20)));
  const Dataset serial = load_dataset(options, &demo_tokenizer(), 512);
  for (const int ranks : {1, 3}) {
    for (const Dataset& dataset : on(ranks, options, [](int) { return fs::path(); })) {
      EXPECT_FALSE(is_mapped(dataset));
      EXPECT_EQ(bytes_in(dataset), bytes_in(serial));
      expect_same(dataset, serial);
    }
  }
}

TEST(TokenizeTogether, RanksThatDoNotSeeTheFileAreSentIt) {
  const Scratch scratch;
  const DataOptions options = options_of(scratch.write("x.jsonl", questions(20)));
  const Dataset serial = load_dataset(options, &demo_tokenizer(), 512);
  const auto own_disk = [&](int rank) { return scratch / ("disk" + std::to_string(rank)); };
  for (int run = 0; run < 2; ++run) {
    const std::vector<Dataset> datasets = on(3, options, own_disk);
    EXPECT_TRUE(is_mapped(datasets[0]));
    EXPECT_FALSE(is_mapped(datasets[1]));
    for (const Dataset& dataset : datasets) {
      expect_same(dataset, serial);
    }
  }
  EXPECT_FALSE(fs::exists(own_disk(1)));
}

TEST(TokenizeTogether, ADamagedFileIsMadeAgain) {
  const Scratch scratch;
  const DataOptions options = options_of(scratch.write("x.jsonl", questions(20)));
  const auto folder = [&](int) { return scratch / "cache"; };
  on(1, options, folder);
  const fs::path file = files_in(scratch / "cache")[0];
  const std::string good = get_file(file);
  std::string bad = good;
  bad[bad.size() / 2] ^= 1;
  put_file(file, bad);
  on(2, options, folder);
  EXPECT_TRUE(get_file(file) == good);
}

TEST(TokenizeTogether, TheFirstBadRowIsEverybodysErrorWhoeverMeetsIt) {
  const Scratch scratch;
  const std::string good = questions(30);
  const std::string bad = R"({"question": "What?", "answer": 5})";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {good + bad + "\n" + good + "nonsense\n", ":31: \"answer\" must be text"},
      {good + good + "nonsense\n" + bad + "\n", ":61: the line is not JSON"},
      {questions(1) + "[]\n" + good + bad, ":2: a row must be an object"},
      {"", "holds no rows"}};
  for (const auto& [content, message] : cases) {
    const DataOptions options = options_of(scratch.write("x.jsonl", content));
    const Thrown serial = thrown_by([&] { load_dataset(options, &demo_tokenizer(), 512); });
    EXPECT_THAT(serial.message, HasSubstr(message));
    for (const int ranks : {1, 2, 3, 4}) {
      const Thrown ours = thrown_by([&] { on(ranks, options, [&](int) { return scratch / "cache"; }); });
      EXPECT_EQ(ours.code, serial.code);
      EXPECT_EQ(ours.message, serial.message) << ranks;
    }
  }
  EXPECT_FALSE(fs::exists(scratch / "cache"));
}

/// Errors of tokenizing come after errors of reading, on any number of ranks.
TEST(TokenizeTogether, OverlongRowsAreReportedInOrder) {
  const Scratch scratch;
  DataOptions options = options_of(scratch.write("x.jsonl", questions(30)));
  options.max_length = 12;
  options.overlong = Overlong::error;
  const Thrown serial = thrown_by([&] { load_dataset(options, &demo_tokenizer(), 512); });
  EXPECT_THAT(serial.message, HasSubstr("more than data.max_length = 12"));
  for (const int ranks : {2, 3, 4}) {
    EXPECT_EQ(thrown_by([&] { on(ranks, options, [](int) { return fs::path(); }); }).message, serial.message);
  }
}

TEST(TokenizingLine, SaysRowsSpeedAndTimeLeft) {
  EXPECT_EQ(format_tokenizing({12000, 80000, 9.3e6, 71.3e6}, 3.0), "tokenizing  12,000/80,000 rows  3.1 MB/s  20 s left");
  EXPECT_EQ(format_tokenizing({999, 1234567, 0.0, 1.0}, 2.0), "tokenizing  999/1,234,567 rows  0.0 MB/s  ? left");
}

}  // namespace
}  // namespace lora_dist::tokenize_together_test

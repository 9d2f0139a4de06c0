// The weights to merge onto: by the adapter's record, or explicitly against it.
#include "src/commands/merge_formats.h"

#include <gmock/gmock.h>

#include <boost/program_options/parsers.hpp>
#include <boost/program_options/variables_map.hpp>

#include "src/adapter/adapter_origin.h"
#include "tests/support/scratch.h"

namespace lora_dist::merge_formats_test {
namespace {

namespace po = boost::program_options;

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const BaseFormat kNone{Quantization::none, false, 64};
const BaseFormat kNf4{Quantization::nf4, true, 64};
const BaseFormat kInt8{Quantization::int8, false, 64};

class MergeFormatsOf : public testing::Test {
 protected:
  /// An adapter's folder, with or without a record.
  void add(const std::string& name, const std::optional<BaseFormat>& record) {
    std::filesystem::create_directory(folder_ / name);
    if (record) {
      folder_.write(name + "/" + kOriginFile, nlohmann::json({{"base_format", json_of(*record)}}).dump());
    }
    adapters_.push_back({folder_ / name, 1.0, {}});
  }
  MergeFormats choose(const std::vector<std::string>& options, const std::optional<BaseFormat>& stored = std::nullopt) {
    std::vector<std::string> words = {"--model", "m", "--adapter", "a", "--output", "o"};
    words.insert(words.end(), options.begin(), options.end());
    MergeOptions merge;
    CommandUse use;
    describe_merge_options(use, merge);
    po::variables_map values;
    po::store(po::command_line_parser(words).options(use.options).run(), values);
    po::notify(values);
    check_merge_options(merge);
    return choose_merge_formats(merge, adapters_, stored);
  }
  std::string problem(const std::vector<std::string>& options, const std::optional<BaseFormat>& stored = std::nullopt) {
    const Thrown error = thrown_by([&] { choose(options, stored); });
    EXPECT_EQ(error.code, ExitCode::usage);
    return error.message;
  }
  Scratch folder_;
  std::vector<WeightedAdapter> adapters_;
};

TEST_F(MergeFormatsOf, FollowTheRecord) {
  add("nf4", kNf4);
  EXPECT_EQ(choose({}).onto, Onto::dequantized);
  EXPECT_EQ(describe(choose({}).trained), describe(kNf4));
  EXPECT_EQ(choose({"--onto", "full"}).onto, Onto::full);
  EXPECT_THAT(choose({"--quantization", "nf4"}).warnings, IsEmpty());
  adapters_.clear();
  add("none", kNone);
  EXPECT_EQ(choose({}).onto, Onto::full);
  EXPECT_EQ(choose({}).trained.quantization, Quantization::none);
  EXPECT_THAT(choose({}).warnings, IsEmpty());
  EXPECT_THAT(choose({"--onto", "dequantized"}).warnings,
              ElementsAre("--onto dequantized changes nothing: training had the files' own weights"));
}

TEST_F(MergeFormatsOf, RefuseWhatContradictsTheRecordUnlessOntoIsWritten) {
  add("none", kNone);
  EXPECT_THAT(problem({"--quantization", "nf4"}),
              AllOf(HasSubstr("was trained on a base that was not quantized, but would be merged as if that was NF4"),
                    HasSubstr("leave --quantization and its like out, or write --onto as well")));
  const MergeFormats written = choose({"--quantization", "nf4", "--onto", "dequantized"});
  EXPECT_EQ(written.onto, Onto::dequantized);
  EXPECT_EQ(written.trained.quantization, Quantization::nf4);
  EXPECT_THAT(written.warnings, ElementsAre(HasSubstr("was trained on a base that was not quantized")));
  EXPECT_THAT(problem({}, kNf4), HasSubstr("give the folder that it was trained on, or write --onto as well"));
}

TEST_F(MergeFormatsOf, SayThatThereIsNoRecord) {
  add("foreign", std::nullopt);
  const MergeFormats formats = choose({});
  EXPECT_EQ(formats.onto, Onto::dequantized);
  EXPECT_EQ(describe(formats.trained), describe(kNf4));
  EXPECT_THAT(
      formats.warnings,
      ElementsAre(
          AllOf(HasSubstr("foreign does not record the base's quantization in training; assuming: NF4 with double quantization, "
                          "blocks of 64"),
                HasSubstr("--onto full"))));
  EXPECT_THAT(choose({"--quantization", "int8"}).warnings, IsEmpty());
  EXPECT_EQ(choose({"--quantization", "none"}).onto, Onto::full);
  EXPECT_THAT(choose({}, kInt8).warnings, IsEmpty());  // the folder says how
}

TEST_F(MergeFormatsOf, RefuseAdaptersOfBasesThatWereHeldDifferently) {
  add("nf4", kNf4);
  add("none", kNone);
  EXPECT_THAT(problem({}), AllOf(HasSubstr("were trained on bases of different quantization"),
                                 HasSubstr("merge them apart, or write --onto full")));
  EXPECT_EQ(choose({"--onto", "full"}).onto, Onto::full);
}

TEST_F(MergeFormatsOf, NameAnAdapterWithoutARecordBesideOneThatHasIt) {
  add("int8", kInt8);
  add("foreign", std::nullopt);
  const MergeFormats formats = choose({});
  EXPECT_EQ(formats.trained.quantization, Quantization::int8);
  EXPECT_THAT(formats.warnings,
              ElementsAre(HasSubstr("foreign does not record the base's quantization in training; assuming: int8")));
}

}  // namespace
}  // namespace lora_dist::merge_formats_test

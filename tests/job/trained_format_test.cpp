// The record of an adapter and the format that the user requests.
#include "src/job/trained_format.h"

#include <gmock/gmock.h>

#include "src/adapter/adapter_origin.h"
#include "tests/support/scratch.h"
#include "tests/support/thread_ranks.h"

namespace lora_dist::trained_format_test {
namespace {

using testing::HasSubstr;

const BaseFormat kNone{Quantization::none, false, 64};
const BaseFormat kNf4{Quantization::nf4, true, 64};
const BaseFormat kNf4Of128{Quantization::nf4, false, 128};

std::string followed(const WantedFormat& wanted, const std::optional<BaseFormat>& record) {
  return describe(as_recorded(wanted, record).format);
}

TEST(TrainedFormat, TheRecordDecidesWhatWasNotWritten) {
  EXPECT_EQ(followed({kNone}, std::nullopt), describe(kNone));
  EXPECT_EQ(followed({kNone}, kNf4Of128), describe(kNf4Of128));
  EXPECT_EQ(followed({kNf4}, kNone), describe(kNone));
  EXPECT_EQ(followed({kNone, "--quantization", true}, kNf4), describe(kNone));
  EXPECT_EQ(followed({kNf4, "--quantization", true}, kNf4Of128), describe(kNf4Of128));
  EXPECT_EQ(followed({{Quantization::none, true, 256}, "--quantization", false, false, true}, kNf4Of128),
            describe({Quantization::nf4, false, 256}));
  EXPECT_EQ(followed({{Quantization::none, true, 64}, "--quantization", false, true, false}, kNf4Of128),
            describe({Quantization::nf4, true, 128}));
}

std::string said(const std::optional<BaseFormat>& record, const WantedFormat& wanted, const BaseFormat& held,
                 const std::filesystem::path& adapter = "runs/a") {
  testing::internal::CaptureStderr();
  tell_of_record(adapter, record, wanted, held, Console{true});
  return testing::internal::GetCapturedStderr();
}

TEST(TrainedFormat, IsSaid) {
  EXPECT_EQ(
      said(kNf4, {kNf4}, kNf4),
      "lora_dist: note: the base's quantization is that of the training of runs/a: NF4 with double quantization, blocks of 64\n");
  EXPECT_THAT(
      said(std::nullopt, {kNone}, kNone),
      HasSubstr("note: runs/a does not record the base's quantization in training; assuming: not quantized. Set --quantization "
                "if it was trained otherwise"));
  EXPECT_THAT(said(std::nullopt, {kNone}, kNf4),
              HasSubstr("in training; that of the model folder is used: NF4 with double quantization, blocks of 64\n"));
  EXPECT_THAT(
      said(kNf4, {kNone, "--quantization", true}, kNone),
      HasSubstr("warning: runs/a was trained on a base that was NF4 with double quantization, blocks of 64; here the base is not "
                "quantized, so that outputs will differ"));
  EXPECT_EQ(said(kNf4, {kNf4, "--quantization", true}, kNf4), "");
  EXPECT_EQ(said(std::nullopt, {kNone, "--quantization", true}, kNone), "");
  EXPECT_EQ(said(std::nullopt, {kNone}, kNone, ""), "");
}

/// The file of rank 0 counts, whatever the other ranks find.
TEST(TrainedFormat, IsRankZeros) {
  const Scratch folder;
  folder.write("0/lora_dist.json", nlohmann::json({{"base_format", json_of(kNf4Of128)}}).dump());
  folder.write("1/lora_dist.json", nlohmann::json({{"base_format", json_of(kNone)}}).dump());
  test::on_ranks(3, [&](Communicator& world) {
    const std::optional<BaseFormat> record = agreed_record(folder / std::to_string(world.rank()), world);
    ASSERT_TRUE(record);
    EXPECT_EQ(describe(*record), describe(kNf4Of128));
  });
  test::on_ranks(2, [&](Communicator& world) { EXPECT_FALSE(agreed_record(folder / std::to_string(2 - world.rank()), world)); });
}

}  // namespace
}  // namespace lora_dist::trained_format_test

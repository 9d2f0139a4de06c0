// The record of an adapter against what the user asks for.
#include "src/train/trained_format.h"

#include <gmock/gmock.h>

namespace lora_dist {
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
  EXPECT_EQ(said(kNf4, {kNf4}, kNf4),
            "lora_dist: note: the base is held as runs/a was trained on it: NF4 with double "
            "quantization, blocks of 64\n");
  EXPECT_THAT(said(std::nullopt, {kNone}, kNone),
              HasSubstr("note: runs/a has no record of how its base was held in training: it is "
                        "taken as not quantized; --quantization says otherwise"));
  EXPECT_THAT(
      said(kNf4, {kNone, "--quantization", true}, kNone),
      HasSubstr("warning: runs/a was trained on its base held as: NF4 with double quantization, blocks of 64; here it is: not "
                "quantized. The numbers are not those that were trained"));
  EXPECT_EQ(said(kNf4, {kNf4, "--quantization", true}, kNf4), "");
  EXPECT_EQ(said(std::nullopt, {kNone, "--quantization", true}, kNone), "");
  EXPECT_EQ(said(std::nullopt, {kNone}, kNone, ""), "");
}

}  // namespace
}  // namespace lora_dist

// lora_dist.json: the base format, and every error message.
#include "src/adapter/adapter_origin.h"

#include <gmock/gmock.h>

#include "tests/support/scratch.h"

namespace lora_dist::adapter_origin_test {
namespace {

using testing::HasSubstr;

TEST(AdapterOrigin, RecordsHowTheBaseWasHeld) {
  const Scratch folder;
  EXPECT_FALSE(recorded_base_format(folder.path()));
  EXPECT_FALSE(recorded_base_format(folder / "nowhere"));
  folder.write(kOriginFile, R"({"step":3})");
  EXPECT_FALSE(recorded_base_format(folder.path()));
  for (const BaseFormat format : {BaseFormat{Quantization::none, false, 64}, BaseFormat{Quantization::nf4, true, 64},
                                  BaseFormat{Quantization::fp4, false, 128}, BaseFormat{Quantization::int8, false, 64}}) {
    folder.write(kOriginFile, nlohmann::json({{"base_format", json_of(format)}}).dump());
    const std::optional<BaseFormat> read = recorded_base_format(folder.path());
    ASSERT_TRUE(read);
    EXPECT_EQ(describe(*read), describe(format));
  }
}

TEST(AdapterOrigin, Messages) {
  const Scratch folder;
  const auto message_of = [&](const std::string& text) {
    folder.write(kOriginFile, text);
    const Thrown error = thrown_by([&] { recorded_base_format(folder.path()); });
    EXPECT_EQ(error.code, ExitCode::model);
    EXPECT_THAT(error.message, HasSubstr(kOriginFile));
    return error.message;
  };
  EXPECT_THAT(message_of(R"({"base_format":{"quantization":"nf4"}})"),
              HasSubstr("base_format must hold quantization, double_quant and block_size"));
  EXPECT_THAT(message_of(R"({"base_format":3})"), HasSubstr("base_format must hold"));
  EXPECT_THAT(message_of(R"({"base_format":{"quantization":"nf5","double_quant":true,"block_size":64}})"),
              HasSubstr("base_format: quantization must be one of none, nf4, fp4, int8 (got nf5)"));
  EXPECT_THAT(message_of(R"({"base_format":{"quantization":"nf4","double_quant":true,"block_size":65}})"),
              HasSubstr("base_format: block_size is 65, which is out of range"));
  EXPECT_THAT(message_of(R"({"base_format":{"quantization":"nf4","double_quant":true,"block_size":64.7}})"),
              HasSubstr("base_format: block_size is 64.7, which is out of range"));
  EXPECT_THAT(message_of("{"), HasSubstr("is not valid JSON"));
}

}  // namespace
}  // namespace lora_dist::adapter_origin_test

// Names of formats, and requested formats for a prequantized folder.
#include "src/base/base_format.h"

#include <gtest/gtest.h>

#include "tests/support/scratch.h"

namespace lora_dist::base_format_test {
namespace {

TEST(BaseFormat, NamesAndDescriptions) {
  for (const char* name : {"none", "nf4", "fp4", "int8"}) {
    EXPECT_EQ(name_of(base_format(name, true, 64).quantization), name);
  }
  EXPECT_EQ(describe(base_format("nf4", true, 64)), "NF4 with double quantization, blocks of 64");
  EXPECT_EQ(describe(base_format("fp4", false, 128)), "FP4, blocks of 128");
  EXPECT_EQ(describe(base_format("int8", true, 64)), "int8, a scale for each row");
  EXPECT_EQ(describe(base_format("none", true, 64)), "not quantized");
  const Thrown error = thrown_by([] { base_format("q4", true, 64); });
  EXPECT_EQ(error.code, ExitCode::usage);
  EXPECT_EQ(error.message, "quantization must be one of none, nf4, fp4, int8 (got q4)");
}

TEST(BaseFormat, AFolderDecidesWhatTheUserDidNotWrite) {
  const BaseFormat stored{Quantization::fp4, false, 128};
  WantedFormat wanted;
  EXPECT_EQ(describe(agree_on_format(wanted, stored, "folder")), "FP4, blocks of 128");
  wanted.format = {Quantization::fp4, true, 64};
  wanted.quantization_given = true;
  EXPECT_EQ(describe(agree_on_format(wanted, stored, "folder")), "FP4, blocks of 128");
  wanted.block_size_given = true;
  const Thrown error = thrown_by([&] { agree_on_format(wanted, stored, "folder"); });
  EXPECT_EQ(error.code, ExitCode::usage);
  EXPECT_EQ(
      error.message,
      "--quantization asks for another base (FP4 with double quantization, blocks of 64) than the weights in folder are, which "
      "are quantized already (FP4, blocks of 128); leave it out, or give the folder with the original weights");
}

}  // namespace
}  // namespace lora_dist::base_format_test

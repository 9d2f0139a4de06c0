// Conversion of exceptions to Error.
#include "src/core/error_of.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>

#include "kernels/common/check.h"
#include "kernels/common/device.h"

namespace lora_dist::error_of_test {
namespace {

TEST(ErrorOf, NothingWhereNothingIsThrown) {
  EXPECT_FALSE(error_of([] {}));
}

TEST(ErrorOf, AnErrorStaysAsItIs) {
  const auto error = error_of([] { throw Error(ExitCode::data, "x", ErrorScope::collective); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code(), ExitCode::data);
  EXPECT_EQ(error->scope(), ErrorScope::collective);
  EXPECT_STREQ(error->what(), "x");
}

TEST(ErrorOf, OtherExceptionsGetACode) {
  const auto memory = error_of([] { throw std::bad_alloc(); });
  EXPECT_EQ(memory->code(), ExitCode::out_of_memory);
  EXPECT_THAT(memory->what(), testing::StartsWith("out of memory; use a smaller train.micro_batch"));
  const auto broken = error_of([] { throw DeviceError(DeviceProblem::failed, "x"); });
  EXPECT_EQ(broken->code(), ExitCode::communication);
  const auto full = error_of([] { throw DeviceError(DeviceProblem::out_of_memory, "x"); });
  EXPECT_EQ(full->code(), ExitCode::out_of_memory);
  EXPECT_THAT(full->what(), testing::HasSubstr("train.recompute"));
  const auto limit = error_of([] { throw std::system_error(EAGAIN, std::generic_category()); });
  EXPECT_EQ(limit->code(), ExitCode::out_of_memory);
  EXPECT_THAT(limit->what(), testing::HasSubstr("ulimit -v"));
  const auto disk = error_of([] { throw std::system_error(ENOSPC, std::generic_category(), "cannot write to file"); });
  EXPECT_EQ(disk->code(), ExitCode::model);
  EXPECT_STREQ(disk->what(), "cannot write to file: No space left on device; free some space");
  const auto unknown = error_of([] { throw std::system_error(EBADF, std::generic_category()); });
  EXPECT_EQ(unknown->code(), ExitCode::internal);
  const auto other = error_of([] { throw std::runtime_error("y"); });
  EXPECT_EQ(other->code(), ExitCode::internal);
  EXPECT_STREQ(other->what(), "internal error, a mistake in the program: y");
}

TEST(ErrorOf, ABrokenContractNamesItsFileFromTheRootOfTheSources) {
  const auto error = error_of([] { require(false, "z"); });
  EXPECT_TRUE(std::string(error->what()).starts_with("internal error, a mistake in the program: tests/core/error_of_test.cpp:"))
      << error->what();
}

}  // namespace
}  // namespace lora_dist::error_of_test

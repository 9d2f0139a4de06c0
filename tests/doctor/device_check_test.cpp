// Verdicts on a rank's GPU.
#include "src/doctor/device_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/doctor/verdicts.h"

namespace lora_dist::device_check_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t kGiB = std::int64_t{1} << 30;

DeviceFacts devices(int count, int ranks) {
  DeviceFacts facts;
  facts.cuda = "13.0, driver 13.1, devices 2";
  facts.count = count;
  facts.ranks = ranks;
  facts.info = DeviceInfo{0, "NVIDIA H100", 90, 132, 80 * kGiB, 79 * kGiB};
  return facts;
}

DeviceFacts without(const std::string& problem, std::optional<Backend> backend, bool hardware) {
  DeviceFacts facts;
  facts.backend = backend;
  facts.problem = problem;
  facts.hardware = hardware;
  return facts;
}

TEST(DeviceCheck, OneForEachRank) {
  EXPECT_THAT(verdicts(judge_device(devices(2, 2))),
              ElementsAre("ok: 2 x NVIDIA H100 (9.0), 80.0 GiB each, CUDA 13.0, driver 13.1, devices 2"));
  DeviceFacts old = devices(1, 1);
  old.info->capability = 75;
  EXPECT_THAT(verdicts(judge_device(old)), ElementsAre(HasSubstr("no bf16: fp16 with a loss scale")));
}

TEST(DeviceCheck, SharedOrHalfFull) {
  EXPECT_THAT(
      verdicts(judge_device(devices(2, 4))),
      ElementsAre(AllOf(HasSubstr("warning: "), HasSubstr("4 ranks of a machine share them"), HasSubstr("| start 2 ranks"))));
  EXPECT_THAT(verdicts(judge_device(devices(1, 2))), ElementsAre(HasSubstr("| start one rank on each machine")));
  DeviceFacts full = devices(2, 2);
  full.info->free_bytes = 40 * kGiB;
  EXPECT_THAT(verdicts(judge_device(full)),
              ElementsAre(AllOf(HasSubstr("warning: "), HasSubstr("of GPU 0 only 40.0 GiB is free"), HasSubstr("nvidia-smi"))));
}

TEST(DeviceCheck, None) {
  EXPECT_THAT(verdicts(judge_device(without("no driver", std::nullopt, false))), ElementsAre("ok: none: CPUs compute"));
  EXPECT_THAT(verdicts(judge_device(without("no driver", Backend::cpu, true))), ElementsAre(HasSubstr("ok: left alone")));
  EXPECT_THAT(verdicts(judge_device(without("built without CUDA", std::nullopt, true))),
              ElementsAre(AllOf(HasSubstr("warning: there is an NVIDIA device, and CPUs will compute: built without CUDA"),
                                HasSubstr("parallel.backend"))));
  const std::vector<Finding> wanted = judge_device(without("no driver", Backend::cuda, false));
  EXPECT_THAT(verdicts(wanted), ElementsAre(AllOf(HasSubstr("broken: no driver"), HasSubstr("parallel.backend = \"cpu\""))));
  EXPECT_EQ(wanted[0].code, ExitCode::communication);
}

TEST(DeviceCheck, OneThatDoesNotWork) {
  for (const std::optional<Backend> backend : {std::optional<Backend>(), std::optional(Backend::cuda)}) {
    DeviceFacts facts = without("no code for this chip", backend, true);
    facts.count = 1;
    const std::vector<Finding> findings = judge_device(facts);
    EXPECT_THAT(verdicts(findings), ElementsAre(HasSubstr("broken: no code for this chip")));
    EXPECT_EQ(findings[0].code, ExitCode::communication);
  }
}

}  // namespace
}  // namespace lora_dist::device_check_test

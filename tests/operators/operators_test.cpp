// Runs the list on the CPU, and compares the GPU with it.
#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/common/device.h"
#include "tests/operators/operator_case.h"

namespace lora_dist::operators::operators_test {
namespace {

const std::vector<OperatorCase>& cases_for_tests() {
  static const std::vector<OperatorCase> made = operator_cases(Size::test);  // once for all
  return made;
}

std::string name_of_case(const testing::TestParamInfo<std::size_t>& info) {
  std::string name =
      cases_for_tests()[info.param].name + "_" + cases_for_tests()[info.param].shape + "_" + std::to_string(info.param);
  for (char& c : name) {
    c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  }
  return name;
}

class Operators : public testing::TestWithParam<std::size_t> {
 protected:
  const OperatorCase& case_ = cases_for_tests()[GetParam()];
};

TEST_P(Operators, CpuWritesEverythingAndTheSameBitsOnAnyNumberOfThreads) {
  const CaseResult one = run_case(case_, Stream{}, DType::f32, DType::f32);
  Stream three;
  three.threads = 3;
  const CaseResult other = run_case(case_, three, DType::f32, DType::f32);
  EXPECT_EQ(one.outputs, other.outputs);  // poison is NaN, which equals nothing
}

/// Holds a stream of the first device; without one, the test is skipped.
class OperatorsOnCuda : public Operators {
 protected:
  void SetUp() override {
    if (device_count() == 0) {
      GTEST_SKIP() << "skipped: no device (" << why_no_device() << ")";
    }
    use_device(0);
    stream_ = make_device_stream();
  }
  void TearDown() override {
    if (stream_.handle != nullptr) {
      destroy_device_stream(stream_);
    }
  }

  void expect_near_cpu(DType dtype, double limit) {
    const CaseResult expected = run_case(case_, Stream{}, DType::f32, dtype);
    const CaseResult got = run_case(case_, stream_, dtype, dtype);
    const CaseResult again = run_case(case_, stream_, dtype, dtype);
    ASSERT_EQ(expected.outputs.size(), got.outputs.size());
    for (std::size_t i = 0; i < expected.outputs.size(); ++i) {
      if (expected.whole[i]) {  // codes, ids and sums in fixed point leave no room
        EXPECT_EQ(expected.outputs[i], got.outputs[i]) << "output " << i;
        continue;
      }
      // One rounding of a single bf16 number may be off by 2^-8; only over some numbers does it average out.
      const double allowed = got.outputs[i].size() < 16 && dtype != DType::f32 ? std::max(limit, 0x1p-16) : limit;
      EXPECT_LE(normalised_error(expected.outputs[i], got.outputs[i]), allowed) << "output " << i;
    }
    EXPECT_EQ(got.outputs, again.outputs) << "two runs differ";
  }

  Stream stream_;
};

TEST_P(OperatorsOnCuda, Fp32EqualsCpu) { expect_near_cpu(DType::f32, 1e-9); }
TEST_P(OperatorsOnCuda, Bf16EqualsCpu) { expect_near_cpu(DType::bf16, case_.error_16_bit); }
TEST_P(OperatorsOnCuda, Fp16EqualsCpu) { expect_near_cpu(DType::f16, case_.error_16_bit); }

INSTANTIATE_TEST_SUITE_P(All, Operators, testing::Range<std::size_t>(0, cases_for_tests().size()), name_of_case);
INSTANTIATE_TEST_SUITE_P(All, OperatorsOnCuda, testing::Range<std::size_t>(0, cases_for_tests().size()), name_of_case);

}  // namespace
}  // namespace lora_dist::operators::operators_test

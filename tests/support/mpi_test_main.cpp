// The main of tests that run under mpirun: rank 0 prints the course of the tests, other ranks only their failures, and a failure
// of any rank fails the program.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

#include "kernels/common/parallel.h"
#include "src/comm/mpi_communicator.h"
#include "src/comm/process.h"

namespace {

class FailurePrinter final : public testing::EmptyTestEventListener {
 public:
  explicit FailurePrinter(int rank) : rank_(rank) {}

  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (result.failed()) {
      std::printf("rank %d: %s:%d: %s\n", rank_, result.file_name(), result.line_number(), result.message());
    }
  }

 private:
  int rank_;
};

}  // namespace

int main(int argc, char** argv) {
  lora_dist::MpiSession session(argc, argv);
  lora_dist::set_library_threads();
  testing::InitGoogleTest(&argc, argv);
  if (session.process().rank != 0) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailurePrinter(session.process().rank));
  }
  std::int64_t failed = RUN_ALL_TESTS();
  const auto world = lora_dist::make_mpi_world();
  world->all_reduce(std::span(&failed, 1), lora_dist::Reduce::max, lora_dist::WireKind::control);
  return static_cast<int>(failed);
}

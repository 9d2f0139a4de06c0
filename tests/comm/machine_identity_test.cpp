// Identifies machines.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <fstream>

#include "src/comm/data_plane.h"
#include "tests/support/scratch.h"

namespace lora_dist::machine_identity_test {
namespace {

TEST(MachineIdentity, IsWhatTheKernelDrewAtBoot) {
  const Scratch scratch;
  std::ofstream(scratch / "boot_id") << "0a1b\n";
  EXPECT_EQ(machine_identity(scratch / "boot_id"), "0a1b");
}

TEST(MachineIdentity, IsTheHostNameWhereTheKernelSaysNothing) {
  const Scratch scratch;
  std::array<char, 256> host{};
  ASSERT_EQ(gethostname(host.data(), host.size() - 1), 0);
  EXPECT_EQ(machine_identity(scratch / "missing"), host.data());
  std::ofstream(scratch / "empty") << "";
  EXPECT_EQ(machine_identity(scratch / "empty"), host.data());
}

}  // namespace
}  // namespace lora_dist::machine_identity_test

// Arenas and the memory report.
#include "src/core/memory_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "kernels/common/device.h"
#include "src/core/arena.h"
#include "src/core/error.h"

namespace lora_dist::memory_report_test {
namespace {

TEST(HumanBytes, ThreeDigitsAndTheUnitBelowAThousand) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1024), "1.00 KiB");
  EXPECT_EQ(human_bytes(1536), "1.50 KiB");
  EXPECT_EQ(human_bytes(10 * 1024 + 103), "10.1 KiB");
  EXPECT_EQ(human_bytes(100 * 1024), "100 KiB");
  EXPECT_EQ(human_bytes(1023 * 1024), "1.00 MiB");  // 0.999 MiB, never "1023" or "1000"
  EXPECT_EQ(human_bytes(std::int64_t{7} << 30), "7.00 GiB");
  EXPECT_EQ(human_bytes(std::numeric_limits<std::int64_t>::max()), "8.00 EiB");
}

TEST(MemoryReport, SumsByKindAndTotal) {
  const std::vector<MemoryItem> items = {{MemoryKind::base_shard, "codes", 1000},
                                         {MemoryKind::base_shard, "absmax", 24},
                                         {MemoryKind::scratch, "transposed tile", 4096}};
  const MemoryByKind sums = sum_by_kind(items);
  EXPECT_EQ(sums[static_cast<std::size_t>(MemoryKind::base_shard)], 1024);
  EXPECT_EQ(sums[static_cast<std::size_t>(MemoryKind::scratch)], 4096);
  EXPECT_EQ(sums[static_cast<std::size_t>(MemoryKind::adapters)], 0);
  EXPECT_EQ(sums.back(), 5120);
}

TEST(MemoryReport, TableShowsLeastAndMostOverRanks) {
  MemoryByKind least{};
  MemoryByKind most{};
  least[static_cast<std::size_t>(MemoryKind::base_shard)] = 1024;
  most[static_cast<std::size_t>(MemoryKind::base_shard)] = 2048;
  least[static_cast<std::size_t>(MemoryKind::adapters)] = 512;
  most[static_cast<std::size_t>(MemoryKind::adapters)] = 512;
  least.back() = 1536;
  most.back() = 2560;
  EXPECT_EQ(memory_table(least, most, 2),
            "memory per rank by kind      least        most\n"
            "  base shard              1.00 KiB    2.00 KiB\n"
            "  adapters                   512 B       512 B\n"
            "  total                   1.50 KiB    2.50 KiB\n");
  EXPECT_EQ(memory_table(most, most, 1),
            "memory by kind           this rank\n"
            "  base shard              2.00 KiB\n"
            "  adapters                   512 B\n"
            "  total                   2.50 KiB\n");
}

TEST(MemoryReport, WhatLiesOnTheHostBesideAGpuIsNoPartOfTheTotal) {
  const std::vector<MemoryItem> items = {{MemoryKind::base_on_host, "block 0", 2048},
                                         {MemoryKind::checkpoint_on_host, "state", 512},
                                         {MemoryKind::checkpoint, "state", 256},
                                         {MemoryKind::windows, "window 0", 1024}};
  const MemoryByKind sums = sum_by_kind(items);
  EXPECT_EQ(sums.back(), 1024 + 256);
  EXPECT_EQ(memory_table(sums, sums, 1),
            "memory by kind           this rank\n"
            "  windows                 1.00 KiB\n"
            "  checkpoint                 256 B\n"
            "  total                   1.25 KiB\n"
            "  base shard (host)       2.00 KiB\n"
            "  checkpoint (host)          512 B\n");
}

TEST(Arena, NotesWhatOthersHold) {
  Arena arena;
  arena.take<float>(MemoryKind::scratch, "tile", 256);
  arena.count(MemoryKind::operator_scratch, "workspace", 100);
  arena.count(MemoryKind::operator_scratch, "workspace", 3000);  // it grew
  const MemoryByKind sums = sum_by_kind(arena.items());
  EXPECT_EQ(sums[static_cast<std::size_t>(MemoryKind::operator_scratch)], 3000);
  EXPECT_EQ(sums.back(), 1024 + 3000);
}

TEST(Arena, ExplainsADeviceThatIsFullAndNothingElse) {
  Arena arena;
  arena.take<float>(MemoryKind::activations, "x", 256);
  explain_full_memory(arena, "a test", [] {});
  try {
    explain_full_memory(arena, "a test", [] { throw DeviceError(DeviceProblem::out_of_memory, "asked for 7 bytes"); });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::out_of_memory);
    EXPECT_THAT(error.what(), testing::StartsWith("asked for 7 bytes, for a test; already held: 1.00 KiB (activations 1.00 KiB)\n"
                                                  "Use a smaller train.micro_batch"));
  }
  EXPECT_THROW(explain_full_memory(arena, "a test", [] { throw DeviceError(DeviceProblem::failed, "broken"); }), DeviceError);
}

TEST(PeakResident, ReadsTheLineOfTheSystem) {
  EXPECT_EQ(peak_resident_bytes_from("Name:\tx\nVmPeak:\t  999 kB\nVmHWM:\t   1234 kB\nVmRSS:\t 1 kB\n"), 1234 * 1024);
  EXPECT_EQ(peak_resident_bytes_from("VmHWM:\t7 kB"), 7 * 1024);
  EXPECT_EQ(peak_resident_bytes_from("Name:\tVmHWM\n"), 0);
  EXPECT_EQ(peak_resident_bytes_from("VmHWM:\nVmRSS:\t5 kB\n"), 0);
  EXPECT_EQ(peak_resident_bytes_from(""), 0);
}

TEST(PeakResident, GrowsWithWhatIsTouched) {
  const std::int64_t before = peak_resident_bytes();
  EXPECT_GT(before, 0);
  // Four times the peak so far, so that it cannot reuse freed memory unnoticed.
  std::vector<char> block(static_cast<std::size_t>(before) * 4, 1);
  EXPECT_GE(peak_resident_bytes(), before * 4);
  EXPECT_EQ(block[block.size() / 2], 1);
}

}  // namespace
}  // namespace lora_dist::memory_report_test

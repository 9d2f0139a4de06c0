// The memory table, readable sizes, and the system's peak count.
#include "src/core/memory_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <vector>

namespace lora_dist {

namespace {

constexpr std::int64_t kKibi = 1024;
constexpr int kNameWidth = 20;
constexpr int kBytesWidth = 12;

std::string table_row(std::string_view name, std::int64_t least, std::int64_t most, int ranks) {
  if (ranks == 1) {
    return fmt::format("  {:<{}}{:>{}}\n", name, kNameWidth, human_bytes(most), kBytesWidth);
  }
  return fmt::format("  {:<{}}{:>{}}{:>{}}\n", name, kNameWidth, human_bytes(least), kBytesWidth, human_bytes(most), kBytesWidth);
}

}  // namespace

MemoryByKind sum_by_kind(std::span<const MemoryItem> items) {
  MemoryByKind sums{};
  for (const MemoryItem& item : items) {
    sums[static_cast<std::size_t>(item.kind)] += item.bytes;
    sums.back() += is_on_host(item.kind) ? 0 : item.bytes;
  }
  return sums;
}

std::string memory_table(const MemoryByKind& least, const MemoryByKind& most, int ranks) {
  std::string table = ranks == 1 ? fmt::format("{:<{}}{:>{}}\n", "memory by kind", kNameWidth + 2, "this rank", kBytesWidth)
                                 : fmt::format("{:<{}}{:>{}}{:>{}}\n", "memory per rank by kind", kNameWidth + 2, "least",
                                               kBytesWidth - 1, "most", kBytesWidth);
  const auto add_kinds = [&](bool on_host) {
    for (std::size_t kind = 0; kind < kMemoryKinds; ++kind) {
      if (most[kind] > 0 && is_on_host(static_cast<MemoryKind>(kind)) == on_host) {
        table += table_row(name_of(static_cast<MemoryKind>(kind)), least[kind], most[kind], ranks);
      }
    }
  };
  add_kinds(false);
  table += table_row("total", least.back(), most.back(), ranks);
  add_kinds(true);
  return table;
}

std::string human_bytes(std::int64_t bytes) {
  constexpr std::array<std::string_view, 6> units = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < kKibi) {
    return fmt::format("{} B", bytes);
  }
  auto amount = static_cast<double>(bytes) / kKibi;
  std::size_t unit = 0;
  // 999.5 would be printed as "1000": take the next unit there.
  while (amount >= 999.5 && unit + 1 < units.size()) {
    amount /= kKibi;
    ++unit;
  }
  const int decimals = amount < 9.995 ? 2 : (amount < 99.95 ? 1 : 0);
  return fmt::format("{:.{}f} {}", amount, decimals, units[unit]);
}

std::int64_t peak_resident_bytes_from(std::string_view status) {
  constexpr std::string_view key = "VmHWM:";
  std::size_t at = status.starts_with(key) ? 0 : status.find("\nVmHWM:");
  if (at == std::string_view::npos) {
    return 0;
  }
  at = status.find_first_of("0123456789\n", status.find(key, at));
  if (at == std::string_view::npos) {
    return 0;
  }
  std::int64_t kibibytes = 0;
  std::from_chars(status.data() + at, status.data() + status.size(), kibibytes);
  return kibibytes * kKibi;  // the file says kB and means 1024 bytes
}

std::int64_t peak_resident_bytes() {
  std::ifstream file("/proc/self/status");
  std::stringstream text;
  text << file.rdbuf();
  return peak_resident_bytes_from(text.str());
}

}  // namespace lora_dist

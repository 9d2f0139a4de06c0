// One line of tab-separated fields, padded so that each write covers the previous one.
#include "src/comm/heartbeat_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

namespace lora_dist {

namespace {

constexpr std::size_t kFields = 19;
constexpr std::size_t kLongestName = 100;

std::vector<std::string_view> fields_of(std::string_view text) {
  std::vector<std::string_view> fields;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\t', at), text.size());
    fields.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return fields;
}

template <class Number>
Number number_in(std::string_view field) {
  Number number{};
  std::from_chars(field.data(), field.data() + field.size(), number);
  return number;
}

/// Names of collectives are literals of this program, so a reader maps them to its own.
std::string_view known(std::string_view name) {
  constexpr std::array<std::string_view, 10> names = {
      "all_gather", "all_reduce", "reduce_scatter", "broadcast",        "barrier",
      "split",      "control",    "base_gather",    "adapter_gradient", "tensor_activation"};
  const auto* const found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? std::string_view("collective") : *found;
}

std::string shortened(const std::string& text) { return text.substr(0, kLongestName); }

}  // namespace

std::string to_text(const Heartbeat& heartbeat) {
  const Activity& at = heartbeat.at;
  const CollectiveRecord& last = at.collective;
  // The count comes first and last, and differs if a read overlaps a write.
  std::string text =
      fmt::format("{}\t{}\t{:.6f}\t{}\t{}\t{:.3f}\t{}\t{:.3f}\t{}\t{}\t{}\t{}\t{}\t{}\t{:.6f}\t{:.6f}\t{}\t{}\t{}",
                  heartbeat.count, heartbeat.rank, heartbeat.written, shortened(heartbeat.host), shortened(at.what),
                  at.what_seconds, at.step, at.idle_seconds, last.name, last.what, shortened(last.ranks), last.group, last.number,
                  last.bytes, last.begun, last.ended, heartbeat.job_ends ? 1 : 0, heartbeat.recorded ? 1 : 0, heartbeat.count);
  text.resize(kHeartbeatBytes - 1, ' ');
  return text + '\n';
}

std::optional<Heartbeat> heartbeat_from(std::string_view text) {
  text = text.substr(0, text.find_last_not_of(" \n") + 1);
  const std::vector<std::string_view> fields = fields_of(text);
  if (fields.size() != kFields || fields.front() != fields.back()) {
    return std::nullopt;
  }
  Heartbeat heartbeat;
  heartbeat.count = number_in<std::int64_t>(fields[0]);
  heartbeat.rank = number_in<int>(fields[1]);
  heartbeat.written = number_in<double>(fields[2]);
  heartbeat.host = fields[3];
  heartbeat.at.what = fields[4];
  heartbeat.at.what_seconds = number_in<double>(fields[5]);
  heartbeat.at.step = number_in<std::int64_t>(fields[6]);
  heartbeat.at.idle_seconds = number_in<double>(fields[7]);
  heartbeat.at.collective.name = known(fields[8]);
  heartbeat.at.collective.what = known(fields[9]);
  heartbeat.at.collective.ranks = fields[10];
  heartbeat.at.collective.group = number_in<int>(fields[11]);
  heartbeat.at.collective.number = number_in<std::int64_t>(fields[12]);
  heartbeat.at.collective.bytes = number_in<std::int64_t>(fields[13]);
  heartbeat.at.collective.begun = number_in<double>(fields[14]);
  heartbeat.at.collective.ended = number_in<double>(fields[15]);
  heartbeat.job_ends = number_in<int>(fields[16]) == 1;
  heartbeat.recorded = number_in<int>(fields[17]) == 1;
  return heartbeat;
}

std::filesystem::path heartbeat_file(const std::filesystem::path& folder, int rank) {
  return folder / fmt::format("rank_{:05}", rank);
}

bool write_heartbeat(const std::filesystem::path& folder, const Heartbeat& heartbeat) {
  const int file = ::open(heartbeat_file(folder, heartbeat.rank).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) {
    return false;
  }
  const std::string text = to_text(heartbeat);
  const bool written = ::pwrite(file, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
  return ::close(file) == 0 && written;
}

std::optional<Heartbeat> read_heartbeat(const std::filesystem::path& folder, int rank) {
  const int file = ::open(heartbeat_file(folder, rank).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return std::nullopt;
  }
  std::array<char, kHeartbeatBytes> text{};
  const ssize_t got = ::pread(file, text.data(), text.size(), 0);
  ::close(file);
  return got <= 0 ? std::nullopt : heartbeat_from(std::string_view(text.data(), static_cast<std::size_t>(got)));
}

}  // namespace lora_dist

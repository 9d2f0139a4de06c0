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

std::string to_text(const Heartbeat& beat) {
  const Activity& at = beat.at;
  const CollectiveRecord& last = at.collective;
  // The count comes first and last, and differs if a read overlaps a write.
  std::string text = fmt::format("{}\t{}\t{:.6f}\t{}\t{}\t{:.3f}\t{}\t{:.3f}\t{}\t{}\t{}\t{}\t{}\t{}\t{:.6f}\t{:.6f}\t{}\t{}\t{}",
                                 beat.count, beat.rank, beat.written, shortened(beat.host), shortened(at.what), at.what_seconds,
                                 at.step, at.idle_seconds, last.name, last.what, shortened(last.ranks), last.group, last.number,
                                 last.bytes, last.begun, last.ended, beat.job_ends ? 1 : 0, beat.recorded ? 1 : 0, beat.count);
  text.resize(kHeartbeatBytes - 1, ' ');
  return text + '\n';
}

std::optional<Heartbeat> heartbeat_from(std::string_view text) {
  text = text.substr(0, text.find_last_not_of(" \n") + 1);
  const std::vector<std::string_view> fields = fields_of(text);
  if (fields.size() != kFields || fields.front() != fields.back()) {
    return std::nullopt;
  }
  Heartbeat beat;
  beat.count = number_in<std::int64_t>(fields[0]);
  beat.rank = number_in<int>(fields[1]);
  beat.written = number_in<double>(fields[2]);
  beat.host = fields[3];
  beat.at.what = fields[4];
  beat.at.what_seconds = number_in<double>(fields[5]);
  beat.at.step = number_in<std::int64_t>(fields[6]);
  beat.at.idle_seconds = number_in<double>(fields[7]);
  beat.at.collective.name = known(fields[8]);
  beat.at.collective.what = known(fields[9]);
  beat.at.collective.ranks = fields[10];
  beat.at.collective.group = number_in<int>(fields[11]);
  beat.at.collective.number = number_in<std::int64_t>(fields[12]);
  beat.at.collective.bytes = number_in<std::int64_t>(fields[13]);
  beat.at.collective.begun = number_in<double>(fields[14]);
  beat.at.collective.ended = number_in<double>(fields[15]);
  beat.job_ends = number_in<int>(fields[16]) == 1;
  beat.recorded = number_in<int>(fields[17]) == 1;
  return beat;
}

std::filesystem::path heartbeat_file(const std::filesystem::path& folder, int rank) {
  return folder / fmt::format("rank_{:05}", rank);
}

bool write_heartbeat(const std::filesystem::path& folder, const Heartbeat& beat) {
  const int file = ::open(heartbeat_file(folder, beat.rank).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) {
    return false;
  }
  const std::string text = to_text(beat);
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

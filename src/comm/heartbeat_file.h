// The heartbeat of a rank: a small file that it rewrites periodically, also while the rank is stuck.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "src/core/activity.h"

namespace lora_dist {

struct Heartbeat {
  int rank = 0;
  std::int64_t count = 0;  // number of writes
  double written = 0.0;    // seconds since 1970
  std::string host;
  Activity at;
  bool job_ends = false;  // the writer has decided that the job hangs
  bool recorded = false;  // the writer's flight record is written
};

/// Converts to a text of kHeartbeatBytes and back; nullopt if the read overlapped a write.
inline constexpr std::size_t kHeartbeatBytes = 512;
std::string to_text(const Heartbeat& heartbeat);
std::optional<Heartbeat> heartbeat_from(std::string_view text);

/// `folder`/rank_00003.
std::filesystem::path heartbeat_file(const std::filesystem::path& folder, int rank);

/// False if the file cannot be written.
bool write_heartbeat(const std::filesystem::path& folder, const Heartbeat& heartbeat);
/// Reopens the file, which makes a network file system ask its server.
std::optional<Heartbeat> read_heartbeat(const std::filesystem::path& folder, int rank);

}  // namespace lora_dist

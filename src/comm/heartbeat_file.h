// What a rank tells the others of itself while it may be stuck: a small file of its own, written again and again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "src/core/pulse.h"

namespace lora_dist {

struct Heartbeat {
  int rank = 0;
  std::int64_t count = 0;  // of writings
  double written = 0.0;    // seconds since 1970
  std::string host;
  Activity at;
  bool job_ends = false;  // the writer has found that the job hangs
  bool recorded = false;  // the writer's flight record is on the disk
};

/// A text of kHeartbeatBytes, and back; nothing where it was read while it was being written.
inline constexpr std::size_t kHeartbeatBytes = 512;
std::string to_text(const Heartbeat& beat);
std::optional<Heartbeat> heartbeat_from(std::string_view text);

/// `folder`/rank_00003.
std::filesystem::path heartbeat_file(const std::filesystem::path& folder, int rank);

/// False where the file cannot be written.
bool write_heartbeat(const std::filesystem::path& folder, const Heartbeat& beat);
/// Opens the file anew, which is when a network file system asks its server.
std::optional<Heartbeat> read_heartbeat(const std::filesystem::path& folder, int rank);

}  // namespace lora_dist

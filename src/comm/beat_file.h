// What a rank tells the others of itself while it may be stuck: a small file of its own, written again and again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "src/core/pulse.h"

namespace lora_dist {

struct Beat {
  int rank = 0;
  std::int64_t count = 0;  // of writings
  double written = 0.0;    // seconds since 1970
  std::string host;
  Activity at;
  bool job_ends = false;  // the writer has found that the job hangs
  bool recorded = false;  // the writer's flight record is on the disk
};

/// A text of kBeatBytes, and back; nothing where it was read while it was being written.
inline constexpr std::size_t kBeatBytes = 512;
std::string to_text(const Beat& beat);
std::optional<Beat> beat_from(std::string_view text);

/// `folder`/rank_00003.
std::filesystem::path beat_file(const std::filesystem::path& folder, int rank);

/// False where the file cannot be written.
bool write_beat(const std::filesystem::path& folder, const Beat& beat);
/// Opens the file anew, which is when a network file system asks its server.
std::optional<Beat> read_beat(const std::filesystem::path& folder, int rank);

}  // namespace lora_dist

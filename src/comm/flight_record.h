// The last collectives of a rank as a file, to diagnose a hang or a communication failure.
#pragma once

#include <filesystem>
#include <string>

namespace lora_dist {

/// `folder`/flight_00003.jsonl.
std::filesystem::path flight_file(const std::filesystem::path& folder, int rank);

/// Writes this process's activity and last collectives (src/core/activity.h), one JSON object per line, over an older file.
/// Returns false on failure, since a more important error is being handled.
bool write_flight_record(const std::filesystem::path& folder, int rank);

}  // namespace lora_dist

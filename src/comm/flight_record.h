// The last collectives of a rank as a file, for after a hang or a failure of communication.
#pragma once

#include <filesystem>
#include <string>

namespace lora_dist {

/// `folder`/flight_00003.jsonl.
std::filesystem::path flight_file(const std::filesystem::path& folder, int rank);

/// Writes what this process is at and its last collectives (src/core/pulse.h), a JSON object a line, over an older file. False
/// where that fails: there is an error under way that matters more.
bool write_flight_record(const std::filesystem::path& folder, int rank);

}  // namespace lora_dist

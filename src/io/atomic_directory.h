// Atomic directories: written under a temporary name, fsynced, renamed, parent fsynced.
#pragma once

#include <filesystem>

namespace lora_dist {

/// Makes an empty temporary folder beside given_path and returns it. One process (rank 0) calls begin and commit; other processes
/// may write files into the folder in between. Removes leftovers of a killed run (same final name, prefix ".tmp-"). Throws
/// Error(model) with the system's reason.
std::filesystem::path begin_atomic_directory(const std::filesystem::path& given_path);
/// fsyncs every file and the directory, renames to given_path (replacing an older one of the same name), fsyncs the parent.
void commit_atomic_directory(const std::filesystem::path& temporary, const std::filesystem::path& given_path);

}  // namespace lora_dist

// A directory that appears whole or not at all: written under a temporary name, fsynced, renamed, parent fsynced.
#pragma once

#include <filesystem>

namespace lora_dist {

/// One process (rank 0) owns the protocol; others may write files into path() between begin and commit.
/// Leftovers of a killed run (same final name, temporary prefix ".tmp-") are removed by begin().
/// Throws Error(model) with the system's reason.
std::filesystem::path begin_atomic_directory(const std::filesystem::path& given_path);
/// fsyncs every file and the directory, renames to given_path (replacing an older one of the same name), fsyncs the parent.
void commit_atomic_directory(const std::filesystem::path& temporary, const std::filesystem::path& given_path);

}  // namespace lora_dist

// Verifies a checkpoint's content against the digests of its manifest.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/checkpoint/manifest.h"

namespace lora_dist {

/// Fills tensor_sha256, m_sha256, v_sha256 and those of the method's buffers from whole buffers.
void digest_content(const StateBuffers& state, Manifest& manifest);

/// Defects of the files of shards rank, rank + ranks, ...: the ranks together check each file once.
std::vector<std::string> file_problems(const std::filesystem::path& checkpoint, const Manifest& manifest, int rank, int ranks);

/// Reads and joins all shards, whose files must be verified before. Throws Error(model) if a file does not open or has other
/// content.
TrainingState read_content(const std::filesystem::path& checkpoint, const Manifest& manifest);

/// One sentence per tensor, m and v whose digest differs from the manifest's.
std::vector<std::string> content_problems(const std::filesystem::path& checkpoint, const Manifest& manifest,
                                          const TrainingState& state);

}  // namespace lora_dist

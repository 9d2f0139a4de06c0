// The whole content of a checkpoint against the digests of its manifest.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/checkpoint/manifest.h"

namespace lora_dist {

/// Fills tensor_sha256, m_sha256 and v_sha256 from whole buffers.
void digest_content(const StateBuffers& state, Manifest& manifest);

/// Problems of the files of shards rank, rank + ranks, ...: together the ranks look at each file once.
std::vector<std::string> file_problems(const std::filesystem::path& checkpoint, const Manifest& manifest, int rank, int ranks);

/// All shards put together. The files must have been checked. Throws Error(model) when they do not open or do not hold what they
/// should.
TrainingState read_content(const std::filesystem::path& checkpoint, const Manifest& manifest);

/// Tensors, m and v whose digests are not the manifest's.
std::vector<std::string> content_problems(const std::filesystem::path& checkpoint, const Manifest& manifest,
                                          const TrainingState& state);

}  // namespace lora_dist

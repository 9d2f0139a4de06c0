// The identity of a base model: a digest of its configuration and of every byte of its weights.
#pragma once

#include <filesystem>
#include <string>

#include "src/comm/communicator.h"
#include "src/io/safetensors.h"

namespace lora_dist {

/// SHA-256 over config.json (a GGUF file has none) and, file by file, the SHA-256 of each 4 MiB piece. Collective: rank i mod
/// size hashes piece i, so the ranks together read the files once, and the digest does not depend on the number of ranks. Throws
/// Error(model), the same on every rank.
std::string base_model_hash(const std::filesystem::path& folder, const TensorDirectory& directory, Communicator& comm);

}  // namespace lora_dist

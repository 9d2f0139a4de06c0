// Checks that all ranks have the same settings, program and model: otherwise they would train different things together.
#pragma once

#include <filesystem>
#include <string>

#include "src/comm/communicator.h"
#include "src/config/config.h"
#include "src/io/safetensors.h"

namespace lora_dist {

/// Collective; compares every rank with rank 0. Throws Error(usage) if a key's value differs, Error(communication) if program
/// versions differ, naming the rank, the key and both values.
/// `version`: of this rank's program.
void check_same_program(Communicator& world, const Config& config, const std::string& version);

/// Collective; compares config.json, the tensors' names, dtypes, shapes and offsets, and a few pages of each file. Throws
/// Error(model) naming the rank whose folder holds another model.
void check_same_model(Communicator& world, const std::filesystem::path& folder, const TensorDirectory& directory);

}  // namespace lora_dist

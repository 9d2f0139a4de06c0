// Ranks that were started with different settings, programs or copies of the model would train different things together.
#pragma once

#include <filesystem>
#include <string>

#include "src/comm/communicator.h"
#include "src/config/config.h"
#include "src/io/safetensors.h"

namespace lora_dist {

/// Collective: every rank against rank 0. Throws Error(usage) for another value of a key, Error(communication) for another
/// version of the program, naming the rank, the key and both values.
/// `version`: of this rank's program.
void check_same_program(Communicator& world, const Config& config, const std::string& version);

/// Collective: config.json, names, types, shapes and places of the tensors, and a few pages of each file. Throws Error(model)
/// naming the rank that has another model in its folder.
void check_same_model(Communicator& world, const std::filesystem::path& folder, const TensorDirectory& directory);

}  // namespace lora_dist

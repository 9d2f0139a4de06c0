// The status of each key of config.json: used, without effect on results, or refused. Unknown keys are reported, since they may
// change what the model computes. docs/families.md shows the table.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "src/model/config_file.h"

namespace lora_dist {

enum class KeyUse : std::uint8_t {
  used,        // read by the family or by shared code
  irrelevant,  // without effect on training and scoring
  refused,     // unless null, false, or empty
};

struct ModelConfigKey {
  std::string_view name;
  KeyUse use = KeyUse::used;
  std::string_view families{};  // model_types, each followed by a space; empty: all
  std::string_view what{};      // of a refused key: the supported alternative
};

/// The whole table, a row per key and status.
std::span<const ModelConfigKey> model_config_keys();

/// The row of a key for models of this type; null if none.
const ModelConfigKey* find_model_config_key(std::string_view name, std::string_view model_type);

/// Throws Error(model) for a refused key; adds one warning that names all unknown keys (except null ones, and false ones of other
/// families).
void check_model_config_keys(const ConfigFile& file, ModelSpec& spec);

}  // namespace lora_dist

// What each key of config.json means here: used, of no effect on the numbers, or refused. A key that is none of these is named to
// the user, since it may change what the model computes. The table is shown in docs/families.md.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "src/model/config_file.h"

namespace lora_dist {

enum class KeyUse : std::uint8_t {
  used,        // read by the family, or by what all families share
  irrelevant,  // changes nothing of what a trained or scored model computes
  refused,     // unless null, false, or empty
};

struct ModelConfigKey {
  std::string_view name;
  KeyUse use = KeyUse::used;
  std::string_view families{};  // model_types, each with a space behind it; empty: all
  std::string_view what{};      // of a refused one: what is supported instead
};

/// The whole table, a row for each key and meaning.
std::span<const ModelConfigKey> model_config_keys();

/// The row of a key for models of this type; null where there is none.
const ModelConfigKey* find_model_config_key(std::string_view name, std::string_view model_type);

/// Throws Error(model) for a refused key, and adds one warning that names all keys without a row (null ones aside, and false ones
/// that only other families have).
void check_model_config_keys(const ConfigFile& file, ModelSpec& spec);

}  // namespace lora_dist

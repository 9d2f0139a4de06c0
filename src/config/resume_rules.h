// Compares the settings of a checkpoint with those of the run that resumes from it.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace lora_dist {

struct SettingChange {
  std::string key;
  std::string before;  // TOML text
  std::string after;
};

/// Compares two to_flat_settings(): returns the allowed changes that may alter the last bits of the result, compared with an
/// uninterrupted run. A key that one side lacks (written by an older or newer program) counts as its default. (Loading the
/// checkpoint refuses changes to what was already trained.)
std::vector<SettingChange> changes_in_last_bits(const std::map<std::string, std::string>& before,
                                                const std::map<std::string, std::string>& after);

}  // namespace lora_dist

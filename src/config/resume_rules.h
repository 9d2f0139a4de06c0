// Which settings may differ between a checkpoint and the run that resumes from it.
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

/// Compares two to_flat_settings(): the changes that are allowed, but after which the result may differ in the last bits from an
/// uninterrupted run. A key that one side lacks (an older or newer program wrote it) counts as its default. (What would alter
/// what was already trained is refused when the checkpoint is loaded.)
std::vector<SettingChange> changes_in_last_bits(const std::map<std::string, std::string>& before,
                                                const std::map<std::string, std::string>& after);

}  // namespace lora_dist

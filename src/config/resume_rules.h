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

struct ResumeChanges {
  std::vector<SettingChange> refused;          // would alter what was already trained
  std::vector<SettingChange> bits_may_differ;  // allowed, but the result may differ in the last bits from an uninterrupted run
  std::vector<SettingChange> allowed;
};

/// Compares two to_flat_settings(). A key that one side lacks (an older or newer program wrote it) counts as its default.
ResumeChanges compare_settings(const std::map<std::string, std::string>& before, const std::map<std::string, std::string>& after);

/// Throws Error(usage) naming the first refused change and its two values, if there is one.
void refuse_changes(const ResumeChanges& changes);

}  // namespace lora_dist

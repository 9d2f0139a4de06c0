// Compares the settings of a checkpoint with those of the run that resumes from it.
#include "src/config/resume_rules.h"

#include <set>

#include "src/config/config_keys.h"
#include "src/config/print_config.h"

namespace lora_dist {
namespace {

std::string value_of(const std::map<std::string, std::string>& settings, const std::map<std::string, std::string>& defaults,
                     const std::string& key) {
  for (const auto* map : {&settings, &defaults}) {
    if (const auto found = map->find(key); found != map->end()) {
      return found->second;
    }
  }
  return "(a setting that this program does not know)";
}

}  // namespace

std::vector<SettingChange> changes_in_last_bits(const std::map<std::string, std::string>& before,
                                                const std::map<std::string, std::string>& after) {
  std::set<std::string> names;
  for (const auto* settings : {&before, &after}) {
    for (const auto& [name, value] : *settings) {
      names.insert(name);
    }
  }
  const std::map<std::string, std::string> defaults = to_flat_settings(Config{});
  std::vector<SettingChange> changes;
  for (const std::string& name : names) {
    SettingChange change{name, value_of(before, defaults, name), value_of(after, defaults, name)};
    const Key* key = find_key(name);
    if (key != nullptr && key->on_resume == OnResume::bits_may_differ && change.before != change.after) {
      changes.push_back(std::move(change));
    }
  }
  return changes;
}

}  // namespace lora_dist

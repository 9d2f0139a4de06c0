// Which settings may differ between a checkpoint and the run that resumes from it.
#include "src/config/resume_rules.h"

#include <fmt/format.h>

#include <set>

#include "src/config/config_keys.h"
#include "src/config/print_config.h"
#include "src/core/error.h"

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

ResumeChanges compare_settings(const std::map<std::string, std::string>& before,
                               const std::map<std::string, std::string>& after) {
  std::set<std::string> names;
  for (const auto* settings : {&before, &after}) {
    for (const auto& [name, value] : *settings) {
      names.insert(name);
    }
  }
  const std::map<std::string, std::string> defaults = to_flat_settings(Config{});
  ResumeChanges changes;
  for (const std::string& name : names) {
    SettingChange change{name, value_of(before, defaults, name), value_of(after, defaults, name)};
    if (change.before == change.after) {
      continue;
    }
    const Key* key = find_key(name);
    const OnResume rule = key == nullptr ? OnResume::refuse : key->on_resume;
    auto& list = rule == OnResume::refuse ? changes.refused : rule == OnResume::allow ? changes.allowed : changes.bits_may_differ;
    list.push_back(std::move(change));
  }
  return changes;
}

void refuse_changes(const ResumeChanges& changes) {
  if (changes.refused.empty()) {
    return;
  }
  const SettingChange& change = changes.refused.front();
  throw Error(
      ExitCode::usage,
      fmt::format("{} was {} when the checkpoint was written and is now {}, which would alter what was already trained; set it "
                  "back, or start afresh in another output.dir",
                  change.key, change.before, change.after));
}

}  // namespace lora_dist

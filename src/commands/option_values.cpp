// Parses values of options.
#include "src/commands/option_values.h"

#include <algorithm>

#include "src/core/error.h"
#include "src/io/user_path.h"

namespace lora_dist {

namespace po = boost::program_options;

void fail_usage(const std::string& message) { throw Error(ExitCode::usage, message, ErrorScope::collective); }

void fail_word(const char* option, const std::string& word, const std::vector<std::string_view>& known) {
  fail_usage(fmt::format("--{} must be one of {} (got {})", option, fmt::join(known, ", "), word));
}

po::typed_value<std::string>* path_of(std::string& member, const char* name) {
  return po::value<std::string>()->value_name(name)->notifier([&member](const std::string& path) { member = expand_home(path); });
}

po::typed_value<std::vector<std::string>>* paths_of(std::vector<std::string>& member, const char* name) {
  return po::value<std::vector<std::string>>()->value_name(name)->notifier([&member](const std::vector<std::string>& paths) {
    std::transform(paths.begin(), paths.end(), std::back_inserter(member), expand_home);
  });
}

void check_needed(std::string_view command, std::initializer_list<Needed> all) {
  std::vector<std::string> missing;
  for (const Needed& needed : all) {
    if (!needed.is_there) {
      missing.emplace_back(needed.option);
    }
  }
  if (missing.empty()) {
    return;
  }
  std::string list = missing.front();
  for (std::size_t i = 1; i < missing.size(); ++i) {
    list += (i + 1 < missing.size() ? ", " : " and ") + missing[i];
  }
  fail_usage(fmt::format("{} needs {} (lora_dist {} --help shows examples)", command, list, command));
}

}  // namespace lora_dist

// TOML file and --set settings -> one validated Config.
#include "src/config/load_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/config/check_config.h"
#include "src/config/config_keys.h"
#include "src/config/nearest_name.h"
#include "src/config/read_toml.h"
#include "src/core/error.h"
#include "src/io/user_path.h"

namespace lora_dist {
namespace {

/// A Config while it loads, with the origin of each explicit value ("x.toml:12" or "--set adapter.r=0").
struct Loading {
  Config config;
  std::map<std::string, std::string> places;
};

/// One key = value of a file.
struct Entry {
  std::string name;
  const toml::node* value;
  toml::source_index line;
  bool in_section;
};

[[noreturn]] void fail(const std::string& place, const std::string& text) {
  throw Error(ExitCode::usage, fmt::format("{}: {}", place, text));
}

/// `name`, shortened for a message.
std::string shown_name(std::string_view name) {
  return name.size() <= 80 ? std::string(name) : std::string(name.substr(0, 77)) + "...";
}

[[noreturn]] void fail_unknown(const std::string& place, const std::string& name) {
  fail(place, fmt::format("unknown key {}; the nearest known key is {}", shown_name(name), nearest_key(name)));
}

std::vector<std::string_view> sections() {
  std::vector<std::string_view> names;
  for (const Key& key : config_keys()) {
    if (names.empty() || names.back() != section_of(key.name)) {
      names.push_back(section_of(key.name));
    }
  }
  return names;
}

/// True for a table in a section, such as [adapter.ia3].
bool is_group(const std::string& name) {
  const std::vector<Key>& keys = config_keys();
  return std::any_of(keys.begin(), keys.end(), [&](const Key& key) { return key.name.starts_with(name + "."); });
}

/// In the order of the file, so that the first error is the topmost one.
std::vector<Entry> entries_of(const toml::table& root) {
  std::vector<Entry> entries;
  for (const auto& [section, node] : root) {
    const toml::table* table = node.as_table();
    if (table == nullptr || table->empty()) {
      entries.push_back({std::string(section.str()), &node, section.source().begin.line, false});
      continue;
    }
    for (const auto& [name, value] : *table) {
      const std::string full_name = fmt::format("{}.{}", section.str(), name.str());
      const toml::table* of_method = is_group(full_name) ? value.as_table() : nullptr;
      if (of_method == nullptr) {
        entries.push_back({full_name, &value, name.source().begin.line, true});
        continue;
      }
      for (const auto& [key, own] : *of_method) {
        entries.push_back({fmt::format("{}.{}", full_name, key.str()), &own, key.source().begin.line, true});
      }
    }
  }
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.line < b.line; });
  return entries;
}

void check_section(const Entry& entry, const std::string& place) {
  const auto known = sections();
  const std::string_view section = section_of(entry.name);
  if (std::find(known.begin(), known.end(), section) != known.end()) {
    if (!entry.in_section && !entry.value->is_table()) {
      fail(place, fmt::format("{} is a section: write [{}] and its keys below", section, section));
    }
  } else if (entry.in_section || entry.value->is_table()) {
    fail(place, fmt::format("unknown section [{}]; the nearest known section is [{}]", shown_name(section),
                            nearest_name(section, known)));
  } else {
    fail_unknown(place, entry.name);
  }
}

void store(Loading& loading, const std::string& name, const toml::node& value, const std::string& place,
           const std::string& origin) {
  const Key* key = find_key(name);
  if (key == nullptr) {
    fail_unknown(place, name);
  }
  if (const std::string problem = key->read(loading.config, value); !problem.empty()) {
    fail(place, fmt::format("{} {}", name, problem));
  }
  loading.places[name] = place;
  loading.config.origins[name] = origin;
}

void apply_file(Loading& loading, const std::filesystem::path& file) {
  const toml::table root = read_toml_file(file);
  for (const Entry& entry : entries_of(root)) {
    const std::string place = fmt::format("{}:{}", file.string(), entry.line);
    check_section(entry, place);
    if (entry.in_section) {
      store(loading, entry.name, *entry.value, place, place);
    }
  }
}

std::string trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  return begin == std::string_view::npos ? "" : std::string(text.substr(begin, text.find_last_not_of(" \t") - begin + 1));
}

void apply_set(Loading& loading, const std::string& setting) {
  const std::string place = "--set " + setting;
  const std::size_t equals = setting.find('=');
  const std::string name = trimmed(setting.substr(0, equals));
  if (equals == std::string::npos || name.empty()) {
    fail(place, "must be written --set section.key=value");
  }
  const Key* key = find_key(name);
  if (key == nullptr) {
    fail_unknown(place, name);
  }
  const std::string text = trimmed(setting.substr(equals + 1));
  const toml::table parsed = parse_toml_value(text);
  const toml::node* value = parsed.get("value");
  if (value == nullptr && key->takes == Takes::list && text.starts_with('[')) {
    fail(place, fmt::format("{} is not a TOML list; write it as '{}=[\"first\", \"second\"]'", name, name));
  }
  // output.dir=2024 and output.dir=true are folder names.
  const toml::value<std::string> as_string(text);
  const bool take_string = value == nullptr || (key->takes == Takes::string && !value->is_string());
  store(loading, name, take_string ? static_cast<const toml::node&>(as_string) : *value, place, "--set");
}

/// Expands ~ in every path.
void expand_paths(Config& config) {
  for (std::string* path : {&config.model.path, &config.adapter.init_from, &config.data.cache_dir.path,
                            &config.checkpoint.resume.path, &config.output.dir}) {
    *path = expand_home(*path);
  }
  for (std::vector<std::string>* files : {&config.data.train, &config.data.validation}) {
    for (std::string& file : *files) {
      file = expand_home(file);
    }
  }
}

/// The origin of the first explicit one of `keys`; "" if all are defaults.
std::string place_of(const Loading& loading, const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    if (const auto found = loading.places.find(key); found != loading.places.end()) {
      return found->second + ": ";
    }
  }
  return "";
}

}  // namespace

Config load_config(const std::filesystem::path& file, const std::vector<std::string>& sets, bool any_method) {
  Loading loading;
  for (const Key& key : config_keys()) {
    loading.config.origins[std::string(key.name)] = "default";
  }
  loading.config.output.dir = "runs/" + (file.empty() ? "unnamed" : file.stem().string());
  if (!file.empty()) {
    apply_file(loading, file);
  }
  for (const std::string& setting : sets) {
    apply_set(loading, setting);
  }
  expand_paths(loading.config);
  if (const ConfigProblem problem = find_contradiction(loading.config); !any_method && !problem.keys.empty()) {
    throw Error(ExitCode::usage, place_of(loading, problem.keys) + problem.text);
  }
  return std::move(loading.config);
}

void check_model_is_named(const Config& config) {
  if (config.model.path.empty()) {
    throw Error(ExitCode::usage,
                "model.path is not set: name the model folder, in the configuration file or with --set model.path=FOLDER");
  }
}

void check_required_keys(const Config& config) {
  check_model_is_named(config);
  if (config.data.train.empty()) {
    throw Error(ExitCode::usage,
                "data.train is not set: name the training files, in the configuration file or with --set data.train=FILE");
  }
}

}  // namespace lora_dist

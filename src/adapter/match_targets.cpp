// Matches target_modules with the paths of a model's linear layers.
#include "src/adapter/match_targets.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "src/adapter/path_pattern.h"
#include "src/core/error.h"
#include "src/model/family.h"

namespace lora_dist {

namespace {

bool is_target(const std::string& target, const std::string& path) {
  return target == "all-linear" || (is_regular_expression(target) ? path_matches(target, path) : ends_with_name(path, target));
}

/// The last `parts` parts of a path.
std::string ending_of(const std::string& path, int parts) {
  std::size_t at = path.size();
  for (int i = 0; i < parts && at != std::string::npos && at != 0; ++i) {
    at = path.rfind('.', at - 1);
  }
  return at == std::string::npos || at == 0 ? path : path.substr(at + 1);
}

/// True if only wanted linears end like this.
bool names_no_other(const Family& family, const std::string& target, const std::array<bool, kLinears>& linears) {
  return std::all_of(kAllLinears.begin(), kAllLinears.end(), [&](Linear linear) {
    return linears[index_of(linear)] || !ends_with_name(module_path(family, 0, linear), target);
  });
}

std::array<bool, kLinears> existing_linears(const ModelSpec& model) {
  std::array<bool, kLinears> exist{};
  for (const Linear linear : kAllLinears) {
    exist[index_of(linear)] = linear_shape(model, linear).out > 0;
  }
  return exist;
}

/// Names for linears that are the same in every layer, from block 0.
std::vector<std::string> names_of_linears(const Family& family, const std::array<bool, kLinears>& linears) {
  std::vector<std::string> names;
  for (const Linear linear : kAllLinears) {
    if (!linears[index_of(linear)]) {
      continue;
    }
    const std::string path = module_path(family, 0, linear);
    std::string name = ending_of(path, 1);
    name = names_no_other(family, name, linears) ? name : ending_of(path, 2);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
    }
  }
  return names;
}

[[noreturn]] void refuse_target(const ModelSpec& model, const std::string& key, const std::string& target) {
  for (const std::string_view table : {model.family->names.embedding, model.family->names.heads[0]}) {
    if (ends_with_name(std::string(table), target)) {
      throw Error(ExitCode::usage, fmt::format("{}: \"{}\" is {}; low-rank factors of embedding and head are not built yet: "
                                               "adapter.modules_to_save trains them whole",
                                               key, target, table));
    }
  }
  throw Error(
      ExitCode::usage,
      fmt::format("{}: \"{}\" matches no linear layer of this {} model; there are {}, or \"all-linear\" for all of them", key,
                  target, model.model_type, fmt::join(names_of_linears(*model.family, existing_linears(model)), ", ")));
}

/// Calls work(layer, linear, path) for each linear of `linears`.
template <class Work>
void for_each_of(const ModelSpec& model, const AdaptedLinears& linears, Work work) {
  for (std::size_t layer = 0; layer < linears.size(); ++layer) {
    for (const Linear linear : kAllLinears) {
      if (linears[layer][index_of(linear)]) {
        work(layer, linear, module_path(*model.family, static_cast<std::int64_t>(layer), linear));
      }
    }
  }
}

/// The linears that any of `targets` matches; `key` is for messages.
AdaptedLinears matched_by(const ModelSpec& model, const std::string& key, const std::vector<std::string>& targets) {
  AdaptedLinears all(static_cast<std::size_t>(model.layers), existing_linears(model));
  AdaptedLinears matched(all.size());
  for (const std::string& target : targets) {
    if (const std::string problem = is_regular_expression(target) ? problem_of_pattern(target) : ""; !problem.empty()) {
      throw Error(ExitCode::usage, fmt::format("{}: \"{}\" {}", key, target, problem));
    }
    bool any = false;
    for_each_of(model, all, [&](std::size_t layer, Linear linear, const std::string& path) {
      if (is_target(target, path)) {
        matched[layer][index_of(linear)] = any = true;
      }
    });
    if (!any) {
      refuse_target(model, key, target);
    }
  }
  return matched;
}

}  // namespace

std::vector<std::string> target_names(const Family& family, const AdaptedLinears& linears) {
  if (linears.empty()) {
    return {};
  }
  if (std::all_of(linears.begin(), linears.end(), [&](const auto& layer) { return layer == linears.front(); })) {
    return names_of_linears(family, linears.front());
  }
  std::vector<std::string> paths;
  for (std::size_t layer = 0; layer < linears.size(); ++layer) {
    for (const Linear linear : kAllLinears) {
      if (linears[layer][index_of(linear)]) {
        paths.push_back(module_path(family, static_cast<std::int64_t>(layer), linear));
      }
    }
  }
  return paths;
}

AdaptedLinears match_targets(const ModelSpec& model, const std::vector<std::string>& target_modules) {
  return matched_by(model, "adapter.target_modules", target_modules);
}

void exclude_modules(const ModelSpec& model, const std::vector<std::string>& exclude, AdaptedLinears& linears) {
  const AdaptedLinears excluded = matched_by(model, "adapter.exclude_modules", exclude);
  for_each_of(model, linears, [&](std::size_t layer, Linear linear, const std::string& /*path*/) {
    bool& adapted = linears[layer][index_of(linear)];
    adapted = adapted && !excluded[layer][index_of(linear)];
  });
}

void keep_layers(const ModelSpec& model, const std::vector<std::int64_t>& layers_to_transform, AdaptedLinears& linears) {
  for (const std::int64_t layer : layers_to_transform) {
    if (layer >= model.layers) {
      throw Error(ExitCode::usage, fmt::format("adapter.layers_to_transform: {} is no block of this model; they are 0 to {}",
                                               layer, model.layers - 1));
    }
  }
  for (std::size_t layer = 0; layer < linears.size() && !layers_to_transform.empty(); ++layer) {
    if (std::find(layers_to_transform.begin(), layers_to_transform.end(), static_cast<std::int64_t>(layer)) ==
        layers_to_transform.end()) {
      linears[layer] = {};
    }
  }
}

void check_endings(const ModelSpec& model, const std::string& key, const std::vector<std::string>& endings,
                   const AdaptedLinears& linears) {
  for (const std::string& ending : endings) {
    bool any = false;
    for_each_of(model, linears,
                [&](std::size_t /*layer*/, Linear /*linear*/, const std::string& path) { any = any || path.ends_with(ending); });
    if (!any) {
      throw Error(ExitCode::usage, fmt::format("{}: \"{}\" ends no adapted layer; the adapter has {}", key, ending,
                                               fmt::join(target_names(*model.family, linears), ", ")));
    }
  }
}

void check_any_left(const AdaptedLinears& linears) {
  const bool any = std::any_of(linears.begin(), linears.end(),
                               [](const auto& layer) { return std::find(layer.begin(), layer.end(), true) != layer.end(); });
  if (!any) {
    throw Error(ExitCode::usage,
                "adapter.exclude_modules and adapter.layers_to_transform take out every layer of "
                "adapter.target_modules; leave one in");
  }
}

void check_pattern(const ModelSpec& model, const std::string& key, const std::vector<std::string>& patterns,
                   const AdaptedLinears& linears) {
  std::vector<bool> used(patterns.size());
  for (const std::string& pattern : patterns) {
    if (const std::string problem = problem_of_pattern(pattern); !problem.empty()) {
      throw Error(ExitCode::usage, fmt::format("{}: \"{}\" {}", key, pattern, problem));
    }
  }
  for_each_of(model, linears, [&](std::size_t /*layer*/, Linear /*linear*/, const std::string& path) {
    std::size_t first = patterns.size();
    for (std::size_t i = 0; i < patterns.size(); ++i) {
      if (ending_matches(patterns[i], path)) {
        used[i] = true;
        if (first < patterns.size()) {
          throw Error(ExitCode::usage, fmt::format("{}: both \"{}\" and \"{}\" match {}; write them so that one does", key,
                                                   patterns[first], patterns[i], path));
        }
        first = i;
      }
    }
  });
  if (const auto unused = std::find(used.begin(), used.end(), false); unused != used.end()) {
    throw Error(ExitCode::usage, fmt::format("{}: \"{}\" matches no adapted layer; the adapter has {}", key,
                                             patterns[static_cast<std::size_t>(unused - used.begin())],
                                             fmt::join(target_names(*model.family, linears), ", ")));
  }
}

}  // namespace lora_dist

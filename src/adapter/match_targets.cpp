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

[[noreturn]] void refuse_target(const ModelSpec& model, const std::string& target) {
  throw Error(ExitCode::usage,
              fmt::format("adapter.target_modules: \"{}\" matches no linear layer of this {} model; there are {}, or "
                          "\"all-linear\" for all of them",
                          target, model.model_type, fmt::join(names_of_linears(*model.family, existing_linears(model)), ", ")));
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
  const std::array<bool, kLinears> exist = existing_linears(model);
  AdaptedLinears matched(static_cast<std::size_t>(model.layers));
  for (const std::string& target : target_modules) {
    if (const std::string problem = is_regular_expression(target) ? problem_of_pattern(target) : ""; !problem.empty()) {
      throw Error(ExitCode::usage, fmt::format("adapter.target_modules: \"{}\" {}", target, problem));
    }
    bool any = false;
    for (std::size_t layer = 0; layer < matched.size(); ++layer) {
      for (const Linear linear : kAllLinears) {
        const std::size_t i = index_of(linear);
        if (exist[i] && is_target(target, module_path(*model.family, static_cast<std::int64_t>(layer), linear))) {
          matched[layer][i] = true;
          any = true;
        }
      }
    }
    if (!any) {
      refuse_target(model, target);
    }
  }
  return matched;
}

}  // namespace lora_dist

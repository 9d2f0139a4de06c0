// Modules are summed up by the last name of their paths.
#include "src/commands/inspect_adapter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "src/adapter/adapter_origin.h"
#include "src/adapter/method.h"
#include "src/adapter/tensor_roles.h"
#include "src/io/sha256.h"
#include "src/io/strict_json.h"

namespace lora_dist {

namespace {

namespace fs = std::filesystem;

/// The modules of one name.
struct Group {
  std::int64_t modules = 0;
  std::int64_t parameters = 0;
  std::set<std::int64_t> ranks;
  double squares = 0.0;  // of the norms of their updates
};

struct Summary {
  std::map<std::string, Group> groups;
  std::int64_t parameters = 0;
  double squares = 0.0;
  double largest = -1.0;
  std::string largest_path;
};

void add_module(Summary& out, const std::string& path, std::int64_t parameters, double norm) {
  Group& group = out.groups[path.substr(path.rfind('.') + 1)];
  ++group.modules;
  group.parameters += parameters;
  group.squares += norm * norm;
  out.parameters += parameters;
  out.squares += norm * norm;
  if (norm > out.largest) {
    out.largest = norm;
    out.largest_path = path;
  }
}

Summary summary_of(const PeftAdapter& adapter) {
  Summary out;
  const AdapterMethod& method = method_of(adapter.config.method);
  for (const std::string& path : adapted_paths(adapter)) {
    const AdaptedModule module{&adapter, path};
    std::int64_t parameters = 0;
    for (const ModuleTensor& tensor : method.peft.tensors) {
      parameters += module.has(tensor.name) ? std::ssize(module.tensor(tensor.name).values) : 0;
    }
    add_module(out, path.empty() ? "virtual tokens" : path, parameters, method.merge.norm(module));
    if (const std::optional<std::int64_t> rank = method.merge.rank(module)) {
      out.groups[path.substr(path.rfind('.') + 1)].ranks.insert(*rank);
    }
  }
  return out;
}

double norm_of(const AdapterMatrix& matrix) {
  double sum = 0.0;
  for (const float value : matrix.values) {
    sum += static_cast<double>(value) * static_cast<double>(value);
  }
  return std::sqrt(sum);
}

/// "8,16", or "4-11" where there are many.
std::string ranks_text(const std::set<std::int64_t>& ranks) {
  constexpr std::size_t kColumn = 7;
  std::string text = fmt::format("{}", fmt::join(ranks, ","));
  return text.size() <= kColumn ? text : fmt::format("{}-{}", *ranks.begin(), *ranks.rbegin());
}

void show_groups(const Summary& summary, const Console& console) {
  console.line(fmt::format("  {:<18}{:>8}{:>8}{:>14}{:>16}", "modules", "count", "rank", "parameters", "norm of update"));
  for (const auto& [name, group] : summary.groups) {
    console.line(fmt::format("  {:<18}{:>8}{:>8}{:>14}{:>16.4g}", name, group.modules, ranks_text(group.ranks), group.parameters,
                             std::sqrt(group.squares)));
  }
  console.line(fmt::format("  {:<18}{:>8}{:>8}{:>14}{:>16.4g}", "all", "", "", summary.parameters, std::sqrt(summary.squares)));
  console.line(summary.largest > 0.0 ? fmt::format("  largest update: {:.4g}, of {}", summary.largest, summary.largest_path)
                                     : "  every update is zero: this adapter changes nothing (it is not trained, or alpha is 0)");
}

std::string base_format_text(const fs::path& folder) {
  const std::optional<BaseFormat> format = recorded_base_format(folder);
  return format ? describe(*format) : "not recorded";
}

/// Nothing for methods that adapt no modules.
std::string target_line(const PeftConfig& config) {
  return method_of(config.method).virtual_place != VirtualPlace::none
             ? std::string()
             : fmt::format("  target modules  {}{}", fmt::join(config.target_modules, ", "), config.target_pattern);
}

std::string method_text(const PeftConfig& config) {
  const AdapterMethod& method = method_of(config.method);
  return fmt::format("{}{}{}", method.peft.title,
                     method.merge.norm_of.empty() ? "" : fmt::format(" (norms below are of {})", method.merge.norm_of),
                     config.use_rslora ? " with rsLoRA's scale" : "");
}

}  // namespace

void inspect_adapter(const fs::path& folder, bool tensors, bool verify, const Console& console) {
  const PeftAdapter adapter = read_peft_adapter(folder);
  const PeftConfig& config = adapter.config;
  std::string head = fmt::format("PEFT adapter {}\n  method          {}\n  base model      {}\n  base format     {}\n{}{}",
                                 folder.string(), method_text(config), config.base_model_name_or_path, base_format_text(folder),
                                 method_of(config.method).peft.option_lines(config), target_line(config));
  head.resize(head.find_last_not_of('\n') + 1);
  console.line(head);
  show_groups(summary_of(adapter), console);
  for (const auto& [name, matrix] : adapter.replaced) {
    console.line(fmt::format("  trained {} [{}]",
                             name.ends_with(kTokenRows) ? "tokens of " + name.substr(0, name.find(kTokenAdapter))
                                                        : name.substr(0, name.find(".modules_to_save")),
                             fmt::join(matrix.shape, ", ")));
  }
  for (const auto& [path, table] : adapter.tables) {
    console.line(fmt::format("  a copy of {} [{}]", path, fmt::join(table.shape, ", ")));
  }
  if (tensors) {
    for (const auto* held : {&adapter.tensors, &adapter.replaced}) {
      for (const auto& [name, matrix] : *held) {
        console.line(fmt::format("  {:60} [{}]  norm {:.4g}", name, fmt::join(matrix.shape, ", "), norm_of(matrix)));
      }
    }
  } else {
    console.line(fmt::format("  {} tensors (--tensors lists them)", adapter.tensors.size() + adapter.replaced.size()));
  }
  if (const fs::path origin = folder / kOriginFile; fs::exists(origin)) {
    const nlohmann::json came_from = read_json_file(origin, ExitCode::model);
    for (const auto& [key, value] : came_from.items()) {
      console.line(fmt::format("  {:24} {}", key, value.dump()));
    }
  }
  if (verify) {
    const fs::path file = tensors_file(folder);
    console.line(fmt::format("{}  SHA-256 {}", file.filename().string(), sha256_of_file(file)));
  }
}

}  // namespace lora_dist

// Modules are summed up by the last name of their paths.
#include "src/commands/inspect_adapter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <system_error>

#include "src/adapter/adapter_origin.h"
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

/// The norm of l - 1: IA3 changes nothing where its factors are 1.
double norm_of_factors(const AdapterMatrix& factors) {
  double sum = 0.0;
  for (const float value : factors.values) {
    sum += (static_cast<double>(value) - 1.0) * (static_cast<double>(value) - 1.0);
  }
  return std::sqrt(sum);
}

Summary summary_of(const PeftAdapter& adapter) {
  Summary out;
  for (const auto& [name, a] : adapter.tensors) {
    const auto [path, role] = path_and_role(name);
    if (role == kIa3Factors) {
      add_module(out, path, std::ssize(a.values), norm_of_factors(a));
    }
    if (role != kLoraA) {
      continue;
    }
    const AdapterMatrix& b = adapter.tensors.at(tensor_of(path, kLoraB));
    const double norm = norm_of_update(a, b, scale_of(adapter.config, path));
    const auto magnitude = adapter.tensors.find(tensor_of(path, kMagnitude));
    const std::int64_t of_magnitude = magnitude == adapter.tensors.end() ? 0 : std::ssize(magnitude->second.values);
    add_module(out, path, std::ssize(a.values) + std::ssize(b.values) + of_magnitude, norm);
    out.groups[path.substr(path.rfind('.') + 1)].ranks.insert(a.shape[0]);
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

/// In fp64: factors have up to a million elements.
double dot(const float* x, const float* y, std::size_t n) {
  return std::transform_reduce(x, x + n, y, 0.0, std::plus<>{},
                               [](float a, float b) { return static_cast<double>(a) * static_cast<double>(b); });
}

void show_groups(const Summary& summary, const Console& console) {
  console.line(fmt::format("  {:<18}{:>8}{:>8}{:>14}{:>16}", "modules", "count", "rank", "parameters", "norm of update"));
  for (const auto& [name, group] : summary.groups) {
    console.line(fmt::format("  {:<18}{:>8}{:>8}{:>14}{:>16.4g}", name, group.modules,
                             fmt::format("{}", fmt::join(group.ranks, ",")), group.parameters, std::sqrt(group.squares)));
  }
  console.line(fmt::format("  {:<18}{:>8}{:>8}{:>14}{:>16.4g}", "all", "", "", summary.parameters, std::sqrt(summary.squares)));
  console.line(summary.largest > 0.0 ? fmt::format("  largest update: {:.4g}, of {}", summary.largest, summary.largest_path)
                                     : "  every update is zero: this adapter changes nothing (it is not trained, or alpha is 0)");
}

std::string base_format_text(const fs::path& folder) {
  const std::optional<BaseFormat> format = recorded_base_format(folder);
  return format ? describe(*format) : "not recorded";
}

std::string options_text(const PeftConfig& config) {
  if (config.method == Method::ia3) {
    return fmt::format("  feed-forward    {}\n", fmt::join(config.feedforward_modules, ", "));
  }
  return fmt::format("  r               {}{}\n  alpha           {}{}\n  dropout         {}\n", config.r,
                     config.rank_pattern.empty() ? "" : " (and rank_pattern)", config.alpha,
                     config.alpha_pattern.empty() ? "" : " (and alpha_pattern)", config.dropout);
}

std::string method_text(const PeftConfig& config) {
  if (config.method == Method::ia3) {
    return "IA3 (norms below are of l - 1)";
  }
  return fmt::format("{}{}", config.method == Method::dora ? "DoRA (norms below are of scale * B A)" : "LoRA",
                     config.use_rslora ? " with rsLoRA's scale" : "");
}

}  // namespace

double norm_of_update(const AdapterMatrix& a, const AdapterMatrix& b, double scale) {
  const auto r = static_cast<std::size_t>(a.shape[0]);
  const auto in = static_cast<std::size_t>(a.shape[1]);
  const auto out = static_cast<std::size_t>(b.shape[0]);
  double trace = 0.0;           // of (A A^T) (B^T B), a row of both at a time; both are symmetric
  std::vector<double> of_b(r);  // row i of B^T B, from rows of B as they lie in memory
  for (std::size_t i = 0; i < r; ++i) {
    std::fill(of_b.begin(), of_b.end(), 0.0);
    for (std::size_t k = 0; k < out; ++k) {
      const float* row = b.values.data() + k * r;
      for (std::size_t j = 0; j <= i; ++j) {
        of_b[j] += static_cast<double>(row[i]) * static_cast<double>(row[j]);
      }
    }
    for (std::size_t j = 0; j <= i; ++j) {
      trace += (j < i ? 2.0 : 1.0) * of_b[j] * dot(a.values.data() + i * in, a.values.data() + j * in, in);
    }
  }
  return std::abs(scale) * std::sqrt(std::max(trace, 0.0));
}

void inspect_adapter(const fs::path& folder, bool tensors, bool verify, const Console& console) {
  const PeftAdapter adapter = read_peft_adapter(folder);
  const PeftConfig& config = adapter.config;
  console.line(
      fmt::format("PEFT adapter {}\n  method          {}\n  base model      {}\n  base format     {}\n{}  target modules  {}{}",
                  folder.string(), method_text(config), config.base_model_name_or_path, base_format_text(folder),
                  options_text(config), fmt::join(config.target_modules, ", "), config.target_pattern));
  show_groups(summary_of(adapter), console);
  for (const auto& [path, table] : adapter.tables) {
    console.line(fmt::format("  a copy of {} [{}]", path, fmt::join(table.shape, ", ")));
  }
  if (tensors) {
    for (const auto& [name, matrix] : adapter.tensors) {
      console.line(fmt::format("  {:60} [{}]  norm {:.4g}", name, fmt::join(matrix.shape, ", "), norm_of(matrix)));
    }
  } else {
    console.line(fmt::format("  {} tensors (--tensors lists them)", adapter.tensors.size()));
  }
  if (const fs::path origin = folder / kOriginFile; fs::exists(origin)) {
    const nlohmann::json came_from = read_json_file(origin, ExitCode::model);
    for (const auto& [key, value] : came_from.items()) {
      console.line(fmt::format("  {:24} {}", key, value.dump()));
    }
  }
  if (verify) {
    console.line(fmt::format("adapter_model.safetensors  SHA-256 {}", sha256_of_file(folder / "adapter_model.safetensors")));
  }
}

}  // namespace lora_dist

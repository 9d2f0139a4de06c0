// Factors of modules, and projections that the modules share.
#include "src/adapter/vera_folder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <vector>

#include "src/adapter/lora_folder.h"

namespace lora_dist {

namespace {

constexpr std::array<ModuleTensor, 2> kVeraTensors = {
    {{.name = kVeraB, .dimensions = 1, .suffix = false, .exact = true, .kind = "vector, as VeRA's factors are"},
     {.name = kVeraD, .dimensions = 1, .suffix = false, .exact = true, .kind = "vector, as VeRA's factors are"}}};
constexpr std::array<std::string_view, 2> kVeraShared = {kProjectionA, kProjectionB};

void read_vera_keys(const ConfigReader& file, PeftConfig& config) {
  config.r = file.rank("r", 256);
  config.dropout = file.dropout("vera_dropout");
  config.d_initial = file.finite("d_initial", config.d_initial);
  config.save_shared = file.flag("save_projection", true);
  const nlohmann::json* key = file.find("projection_prng_key");
  if (key != nullptr && !key->is_number_integer()) {
    file.refuse("projection_prng_key must be a whole number");
  }
  config.projection_key = key == nullptr ? 0 : key->get<std::int64_t>();
}

nlohmann::ordered_json vera_keys(const PeftConfig& config) {
  return {{"bias", "none"},
          {"d_initial", config.d_initial},
          {"init_weights", true},
          {"layers_pattern", nullptr},
          {"layers_to_transform", nullptr},
          {"projection_prng_key", config.projection_key},
          {"r", config.r},
          {"save_projection", config.save_shared},
          {"vera_dropout", config.dropout}};
}

std::string vera_shape_problem(const AdaptedModule& module, std::string_view role) {
  const std::int64_t r = module.adapter->config.r;
  const bool fits = role != kVeraD || module.tensor(role).shape[0] == r;
  return fits ? std::string() : fmt::format("adapter_config.json gives r = {}", r);
}

std::string vera_options(const PeftConfig& config) { return fmt::format("r {}, dropout {}", config.r, config.dropout); }

std::string vera_option_lines(const PeftConfig& config) {
  return fmt::format("  r               {}\n  dropout         {}\n  projections     {}, key {}\n", config.r, config.dropout,
                     config.save_shared ? "in the folder" : "drawn", config.projection_key);
}

UpdateSize vera_size(const AdaptedModule& module) { return {module.tensor(kVeraB).shape[0], 0}; }

/// weight += diag(b) B diag(d) A, with the corners of A and B that the weight needs.
void merge_vera(const AdaptedModule& module, const MergedWeight& weight, const Stream& stream) {
  const AdapterMatrix& shared_a = module.adapter->shared.at(std::string(kProjectionA));
  const AdapterMatrix& shared_b = module.adapter->shared.at(std::string(kProjectionB));
  const std::vector<float>& d = module.tensor(kVeraD).values;
  const std::vector<float>& b = module.tensor(kVeraB).values;
  const auto r = std::ssize(d);
  const std::int64_t in = weight.transposed ? weight.values.rows() : weight.values.cols();
  AdapterMatrix scaled_a{{r, in}, std::vector<float>(static_cast<std::size_t>(r * in))};
  for (std::int64_t i = 0; i < r; ++i) {
    const auto row = shared_a.values.begin() + i * shared_a.shape[1];
    std::transform(row, row + in, scaled_a.values.begin() + i * in,
                   [factor = d[static_cast<std::size_t>(i)]](float value) { return factor * value; });
  }
  AdapterMatrix scaled_b{{std::ssize(b), r}, {}};
  for (std::int64_t i = 0; i < std::ssize(b) * r; ++i) {
    scaled_b.values.push_back(b[static_cast<std::size_t>(i / r)] * shared_b.values[static_cast<std::size_t>(i)]);
  }
  add_product(scaled_a, scaled_b, static_cast<float>(module.weight), weight, stream);
}

/// VeRA changes nothing where b is 0.
double norm_of_b(const AdaptedModule& module) {
  double sum = 0.0;
  for (const float value : module.tensor(kVeraB).values) {
    sum += static_cast<double>(value) * static_cast<double>(value);
  }
  return std::sqrt(sum);
}

/// Row by row, as torch draws fp32 numbers on a CPU: 24 bits of each number of the generator, scaled in one operation of one
/// rounding.
AdapterMatrix uniform_matrix(std::int64_t rows, std::int64_t cols, std::mt19937& generator) {
  const auto bound = static_cast<float>(std::sqrt(3.0) * (std::sqrt(2.0) / std::sqrt(static_cast<double>(cols))));
  AdapterMatrix matrix{{rows, cols}, std::vector<float>(static_cast<std::size_t>(rows * cols))};
  for (float& value : matrix.values) {
    const float unit = static_cast<float>(generator() & 0xFFFFFFU) * 0x1p-24F;
    value = std::fma(unit, 2.0F * bound, -bound);
  }
  return matrix;
}

}  // namespace

PeftCodec vera_codec() {
  return {.type = "VERA",
          .title = "VeRA",
          .tensors = kVeraTensors,
          .is_written_in = nullptr,
          .read = read_vera_keys,
          .keys = vera_keys,
          .shape_problem = vera_shape_problem,
          .options = vera_options,
          .option_lines = vera_option_lines,
          .size_text = [](const PeftConfig& config) { return fmt::format(" of rank {}", config.r); },
          .shared = kVeraShared};
}

MergeHooks vera_merge() {
  return {.size = vera_size,
          .weight = merge_vera,
          .bias = nullptr,
          .sums = true,
          .rank = [](const AdaptedModule& module) { return std::optional<std::int64_t>(module.tensor(kVeraD).shape[0]); },
          .norm = norm_of_b,
          .norm_of = "b"};
}

SharedTensors draw_projections(const PeftConfig& peft, std::int64_t in, std::int64_t out) {
  std::mt19937 generator(static_cast<std::uint32_t>(peft.projection_key));  // torch takes the low 32 bits too
  SharedTensors shared;
  shared.emplace(kProjectionA, uniform_matrix(peft.r, in, generator));
  shared.emplace(kProjectionB, uniform_matrix(out, peft.r, generator));
  return shared;
}

}  // namespace lora_dist

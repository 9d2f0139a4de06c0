// LoRA's keys and tensors, and the lengths m.
#include "src/adapter/dora_folder.h"

#include <array>
#include <cmath>
#include <vector>

#include "src/adapter/lora_folder.h"

namespace lora_dist {

namespace {

constexpr std::array<ModuleTensor, 3> kDoraTensors = {{{kLoraA},
                                                       {kLoraB},
                                                       {.name = kMagnitude,
                                                        .dimensions = 1,
                                                        .suffix = false,
                                                        .exact = true,
                                                        .kind = "vector, as DoRA's magnitudes are",
                                                        .stranger = "use_dora is not true in adapter_config.json"}}};

std::string dora_shape_problem(const AdaptedModule& module, std::string_view role) {
  if (role != kMagnitude) {
    return lora_codec().shape_problem(module, role);
  }
  const std::int64_t out = module.tensor(kLoraB).shape[0];
  return module.tensor(role).shape[0] == out ? std::string()
                                             : fmt::format("its module has {} outputs; save the adapter again", out);
}

/// The weights of output i get the length magnitude[i]; those of length 0 stay.
void give_lengths(const std::vector<float>& magnitude, const MergedWeight& weight) {
  float* const values = weight.values.as<float>();
  const std::int64_t rows = weight.values.rows();
  const std::int64_t cols = weight.values.cols();
  std::vector<double> squares(magnitude.size());
  const auto output_of = [&](std::int64_t row, std::int64_t col) {
    return static_cast<std::size_t>(weight.transposed ? col : row);
  };
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t col = 0; col < cols; ++col) {
      const auto value = static_cast<double>(values[row * cols + col]);
      squares[output_of(row, col)] += value * value;
    }
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t col = 0; col < cols; ++col) {
      const std::size_t i = output_of(row, col);
      const double c = squares[i] > 0.0 ? static_cast<double>(magnitude[i]) / std::sqrt(squares[i]) : 1.0;
      values[row * cols + col] = static_cast<float>(c * static_cast<double>(values[row * cols + col]));
    }
  }
}

void merge_dora(const AdaptedModule& module, const MergedWeight& weight, const Stream& stream) {
  lora_merge().weight(module, weight, stream);
  give_lengths(module.tensor(kMagnitude).values, weight);
}

}  // namespace

PeftCodec dora_codec() {
  PeftCodec codec = lora_codec();
  codec.title = "DoRA";
  codec.tensors = kDoraTensors;
  codec.is_written_in = [](const ConfigReader& file) { return file.flag("use_dora", false); };
  codec.shape_problem = dora_shape_problem;
  return codec;
}

MergeHooks dora_merge() {
  MergeHooks hooks = lora_merge();
  hooks.weight = merge_dora;
  hooks.sums = false;
  hooks.norm_of = "scale * B A";
  return hooks;
}

}  // namespace lora_dist

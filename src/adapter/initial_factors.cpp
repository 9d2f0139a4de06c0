// Reads one weight at a time.
#include "src/adapter/initial_factors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "src/adapter/adapter_bridge.h"
#include "src/adapter/lora_factors.h"
#include "src/adapter/tensor_roles.h"
#include "src/adapter/weight_factors.h"
#include "src/base/prequantized.h"
#include "src/base/quantized_weight.h"
#include "src/base/weight_source.h"
#include "src/core/activity.h"
#include "src/core/error.h"
#include "src/model/family.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

namespace {

/// Calls work(layer, linear, adapted) for each adapted module.
template <class Work>
void for_each_adapted(const AdapterLayout& layout, Work work) {
  for (std::size_t layer = 0; layer < layout.blocks.size(); ++layer) {
    for (const Linear linear : kAllLinears) {
      if (const auto& adapted = layout.blocks[layer][index_of(linear)]) {
        work(static_cast<std::int64_t>(layer), linear, *adapted);
      }
    }
  }
}

/// [out, in].
std::vector<float> whole_weight(const FactorSource& source, std::int64_t layer, Linear linear, const Stream& stream) {
  const ModelSpec& model = source.model;
  const TensorInfo& tensor = find_tensor(model, source.directory, weight_tensor(model, layer, linear));
  const WeightSource weight = open_weight(tensor, model.family->transposed);
  const LinearShape shape = linear_shape(model, linear);
  std::vector<float> values(static_cast<std::size_t>(shape.out * shape.in));
  std::vector<std::byte> raw;
  read_as_f32(weight, 0, values, raw, stream);
  return values;
}

WeightFactors factors_of(LoraInit init, std::vector<float> weight, const AdaptedLinear& adapted, const BaseFormat& held,
                         const Stream& stream) {
  const HostWeight whole{weight, adapted.out, adapted.in};
  if (init == LoraInit::pissa) {
    return principal_factors(whole, adapted.r, static_cast<double>(adapted.scale), stream);
  }
  if (init == LoraInit::olora) {
    return orthonormal_factors(whole, adapted.r);
  }
  std::vector<float> kept = weight;
  quantize_and_back(kept, adapted.in, held, stream);
  std::ranges::transform(weight, kept, weight.begin(), std::minus<>{});
  return principal_factors({weight, adapted.out, adapted.in}, adapted.r, 1.0, stream);  // PEFT's LoftQ ignores the scale
}

void put_values(const std::vector<float>& values, const Parameter& parameter, std::span<float> params) {
  std::ranges::copy(values, params.begin() + parameter.offset);
}

}  // namespace

void check_ranks(const AdapterLayout& layout, const ModelSpec& model, const std::string& folder) {
  for_each_adapted(layout, [&](std::int64_t layer, Linear linear, const AdaptedLinear& adapted) {
    const std::int64_t most = std::min(adapted.in, adapted.out);
    if (adapted.r <= most) {
      return;
    }
    const std::string why =
        fmt::format("{} for {}, whose weight [{}, {}] has only {} singular values for init \"{}\"", adapted.r,
                    module_path(*model.family, layer, linear), adapted.out, adapted.in, most, word_of(kLoraInits, layout.init));
    throw folder.empty() ? Error(ExitCode::usage, fmt::format("adapter.r is {}; lower it", why))
                         : Error(ExitCode::model, fmt::format("{}: its rank is {}; take another copy", folder, why));
  });
}

void check_float_weights(LoraInit init, const ModelSpec& model, const TensorDirectory& directory) {
  if (stored_format(model, directory)) {
    throw Error(
        ExitCode::model,
        fmt::format("an adapter that starts with init \"{}\" needs the model's float weights, and its folder holds quantized "
                    "ones; give the folder of the model before it was quantized",
                    word_of(kLoraInits, init)));
  }
}

void fill_initial_factors(const AdapterLayout& layout, const FactorSource& source, const ModuleShare& share,
                          std::span<float> params, const Stream& stream) {
  int module = 0;
  for_each_adapted(layout, [&](std::int64_t layer, Linear linear, const AdaptedLinear& adapted) {
    if (module++ % share.ranks != share.rank) {
      return;
    }
    heartbeat();
    const WeightFactors factors =
        factors_of(layout.init, whole_weight(source, layer, linear, stream), adapted, source.held, stream);
    put_values(factors.a, lora_a(adapted), params);
    put_values(factors.b, lora_b(adapted), params);
  });
}

namespace {

/// A module's rank doubled at an unchanged scale.
void double_ranks(PeftConfig& peft) {
  const double alpha_factor = peft.use_rslora ? std::sqrt(2.0) : 2.0;
  peft.r *= 2;
  peft.alpha *= alpha_factor;
  for (auto& [path, r] : peft.rank_pattern) {
    r *= 2;
  }
  for (auto& [path, alpha] : peft.alpha_pattern) {
    alpha *= alpha_factor;
  }
  peft.init = LoraInit::uniform;
}

/// The rows [values, -initial], each of `cols`.
void append_with_negated(std::span<const float> values, std::span<const float> initial, std::int64_t cols,
                         std::vector<float>& out) {
  const auto rows = std::ssize(values) / std::max<std::int64_t>(1, cols);
  for (std::int64_t row = 0; row < rows; ++row) {
    out.insert(out.end(), values.begin() + row * cols, values.begin() + (row + 1) * cols);
    std::transform(initial.begin() + row * cols, initial.begin() + (row + 1) * cols, std::back_inserter(out), std::negate<>{});
  }
}

}  // namespace

KeptTensors plain_tensors(const AdapterLayout& layout, std::span<const float> params, std::span<const float> initial,
                          PeftConfig& peft) {
  double_ranks(peft);
  KeptTensors out{folder_tensors(layout), {}};
  for (AdapterTensor& tensor : out.tensors) {
    const std::string role = path_and_role(tensor.name).second;
    const bool is_b = role == kLoraB;
    const auto of_tensor = [&](std::span<const float> all) {
      return all.subspan(static_cast<std::size_t>(tensor.offset), static_cast<std::size_t>(tensor.count));
    };
    const std::span<const float> trained = of_tensor(params);
    const std::span<const float> first = of_tensor(initial);
    tensor.offset = std::ssize(out.values);
    if (!is_b && role != kLoraA) {  // of a module that is trained itself
      out.values.insert(out.values.end(), trained.begin(), trained.end());
      continue;
    }
    if (is_b) {
      append_with_negated(trained, first, tensor.shape[1], out.values);
    } else {
      out.values.insert(out.values.end(), trained.begin(), trained.end());
      out.values.insert(out.values.end(), first.begin(), first.end());
    }
    tensor.shape[is_b ? 1 : 0] *= 2;
    tensor.count *= 2;
  }
  return out;
}

void convert_to_plain(PeftAdapter& adapter, const ModelSpec& model, const TensorDirectory& directory, const std::string& folder,
                      const Stream& stream) {
  if (!uses_residual(adapter.config.init)) {
    return;
  }
  const AdapterLayout layout = layout_of(adapter, model, folder);
  check_ranks(layout, model, folder);
  check_float_weights(layout.init, model, directory);
  std::vector<float> params(static_cast<std::size_t>(layout.count));
  copy_parameters(adapter, layout, params);
  std::vector<float> initial(params.size());
  fill_initial_factors(layout, {model, directory}, {}, initial, stream);
  const KeptTensors plain = plain_tensors(layout, params, initial, adapter.config);
  for (const AdapterTensor& tensor : plain.tensors) {
    if (const auto found = adapter.tensors.find(tensor.name); found != adapter.tensors.end()) {
      const auto first = plain.values.begin() + tensor.offset;
      found->second = {tensor.shape, {first, first + tensor.count}};
    }
  }
}

}  // namespace lora_dist

// Finds the tensors, and copies rows.
#include "src/convert/replaced_weights.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/adapter/adapter_bridge.h"
#include "src/adapter/tensor_roles.h"
#include "src/adapter/trained_modules_folder.h"
#include "src/core/error.h"
#include "src/model/family.h"
#include "src/model/tensor_table.h"

namespace lora_dist {

namespace {

[[noreturn]] void refuse_merge(const WeightedAdapter& adapter, const std::string& why) {
  throw Error(ExitCode::usage, fmt::format("{}: {}", adapter.folder.string(), why));
}

/// `name`: of the adapter's tensor; `path`: of the module that it replaces. ids: of its rows; empty: all.
void plan_tensor(const ModelSpec& spec, const TensorDirectory& model, const WeightedAdapter& adapter, const std::string& path,
                 const std::string& name, const std::vector<std::int32_t>& ids, MergePlan& plan) {
  const AdapterMatrix& values = adapter.adapter.replaced.at(name);
  const TensorInfo* const tensor = look_up_tensor(spec, model, path + (name.ends_with(kSavedBias) ? ".bias" : ".weight"));
  if (tensor == nullptr || (ids.empty() && tensor->shape != values.shape)) {
    throw Error(ExitCode::model,
                fmt::format("{}: it holds a trained {}, and the model has none of that size; the adapter belongs "
                            "to another model",
                            adapter.folder.string(), path));
  }
  check_float_dtype(*tensor);
  plan[tensor->name].replaced.push_back({&values, ids});
}

/// Throws Error(usage) for what changes more than values.
void check_same_files(const ModelSpec& spec, const WeightedAdapter& adapter, const AdapterLayout& layout) {
  for (const TrainedTable& table : layout.tables) {
    if (spec.tied_head && table.site == TableSite::head) {
      refuse_merge(
          adapter,
          "its head was trained apart from the embedding, which are one tensor in this model; run it with lora_dist (score, "
          "generate) or PEFT, or train with adapter.ensure_weight_tying = true");
    }
    if (spec.tied_head && !table.tied) {
      refuse_merge(adapter,
                   "its embedding was trained apart from the head, which are one tensor in this model; run it with lora_dist "
                   "(score, generate) or PEFT, or train with adapter.ensure_weight_tying = true");
    }
  }
}

}  // namespace

void check_vocabulary(const WeightedAdapter& adapter, const ModelSpec& spec) {
  if (const std::int64_t rows = vocabulary_rows(adapter.folder); rows > spec.vocab) {
    refuse_merge(adapter,
                 fmt::format("it has tokens up to id {}, and the model's embedding {} rows: merging would change the model's "
                             "shape, which this program does not do; merge it in PEFT (resize_token_embeddings, then "
                             "merge_and_unload)",
                             rows - 1, spec.vocab));
  }
}

void plan_replaced(const ModelSpec& spec, const TensorDirectory& model, std::span<const WeightedAdapter> adapters,
                   MergePlan& plan) {
  for (const WeightedAdapter& each : adapters) {
    if (each.adapter.replaced.empty()) {
      continue;
    }
    if (adapters.size() > 1 || each.weight != 1.0) {
      refuse_merge(each, "it holds trained embeddings, heads, norms or tokens, and so merges alone and with weight 1");
    }
    const AdapterLayout layout = layout_of(each.adapter, spec, each.folder.string());
    check_same_files(spec, each, layout);
    for (const TrainedNorm& norm : layout.norms) {
      const std::string path = norm_path(*spec.family, norm.site, norm.layer);
      for (const Parameter& parameter : norm.parameters) {
        plan_tensor(spec, model, each, path, tensor_of(path, parameter.name), {}, plan);
      }
    }
    for (const TrainedTable& table : layout.tables) {
      plan_tensor(spec, model, each, table_path(*spec.family, table.site),
                  tensor_of(path_of_trained(*spec.family, table), table.parameter.name), table.ids, plan);
    }
  }
}

void replace_values(const TensorInfo& tensor, const WeightChange& change, std::span<float> values) {
  for (const ReplacedValues& replaced : change.replaced) {
    if (replaced.ids.empty()) {
      std::ranges::copy(replaced.values->values, values.begin());
      continue;
    }
    const std::int64_t width = tensor.shape[1];
    for (std::size_t i = 0; i < replaced.ids.size(); ++i) {
      std::copy_n(replaced.values->values.begin() + static_cast<std::ptrdiff_t>(i) * width, width,
                  values.begin() + replaced.ids[i] * width);
    }
  }
}

}  // namespace lora_dist

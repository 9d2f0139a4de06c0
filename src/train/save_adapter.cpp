// Writes the trained factors as a PEFT folder.
#include "src/train/save_adapter.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "kernels/elementwise/copy.h"
#include "src/adapter/adapter_bridge.h"
#include "src/adapter/adapter_folders.h"
#include "src/adapter/initial_factors.h"
#include "src/adapter/joined_layout.h"
#include "src/adapter/peft_adapter.h"
#include "src/comm/agree.h"
#include "src/config/print_config.h"
#include "src/core/activity.h"
#include "src/core/version.h"
#include "src/io/atomic_directory.h"
#include "src/io/sha256.h"
#include "src/train/host_copy.h"

namespace lora_dist {

namespace {

/// The origin of an adapter: its base format, and digests of the rest, since an adapter may be shared where its data may not.
nlohmann::json origin_of(const TrainingRun& run, std::int64_t step) {
  const std::string configuration = print_config(run.config);
  nlohmann::json origin = {{"program_version", kProgramVersion},
                           {"step", step},
                           {"base_format", json_of(run.model->base.format)},
                           {"compute_dtype", name_of_compute(run.device->dtype)},
                           {"base_model_hash", run.base_hash},
                           {"training_samples_digest", run.data_digest},
                           {"configuration_digest", sha256_of(std::as_bytes(std::span(configuration)))}};
  if (const MethodChoice& methods = run.config.adapter.method; !methods.beside.empty()) {
    origin[kMethodsKey] = nlohmann::json::array();
    for (const Method method : methods.all()) {
      origin[kMethodsKey].push_back(word_of(kMethods, method));
    }
  }
  if (needs_weights(run.layout.init)) {
    origin[kInitKey] = word_of(kLoraInits, run.layout.init);
  }
  return origin;
}

/// The tensors of one of the run's methods as its folder has them, which `peft` describes.
KeptTensors tensors_of(const TrainingRun& run, std::span<const float> params, PeftConfig& peft) {
  const AdapterLayout layout = layout_of_method(run.layout, method_of(peft.method));
  if (const StepHooks* step = layout.method->step; step != nullptr) {
    return step->kept_tensors(layout, run.budget, params, peft);
  }
  if (uses_residual(layout.init)) {
    return plain_tensors(layout, params, host_copy(run.initial, run.model->stream), peft);
  }
  return {folder_tensors(layout), {params.begin(), params.end()}};
}

}  // namespace

void save_adapter(const TrainingRun& run, std::int64_t step, const std::string& name) {
  const AtWork here("writing the adapter");
  run_together(*run.world, [&] {
    if (run.world->rank() != 0) {
      return;
    }
    const std::vector<float> params = host_copy(run.buffers.params, run.model->stream);
    const MethodChoice& methods = run.config.adapter.method;
    const bool several = !methods.beside.empty();  // their folders appear together
    const std::filesystem::path target = run.output / name;
    const std::filesystem::path parent = several ? begin_atomic_directory(target) : target;
    const nlohmann::json origin = origin_of(run, step);
    for (PeftConfig peft : run.descriptions()) {
      const KeptTensors kept = tensors_of(run, params, peft);
      const std::filesystem::path folder = folder_of_method(parent, methods, peft.method);
      write_peft_adapter(folder, peft, kept.tensors, kept.values, run.config.output.adapter_dtype, origin,
                         peft.method == methods.first ? run.shared : SharedTensors{}, run.tokenizer_folder);
    }
    if (several) {
      commit_atomic_directory(parent, target);
    }
  });
}

}  // namespace lora_dist

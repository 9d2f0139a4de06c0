// Writes the trained factors as a PEFT folder.
#include "src/train/save_adapter.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "kernels/elementwise/copy.h"
#include "src/adapter/adapter_bridge.h"
#include "src/adapter/initial_factors.h"
#include "src/adapter/peft_adapter.h"
#include "src/comm/agree.h"
#include "src/config/print_config.h"
#include "src/core/activity.h"
#include "src/core/version.h"
#include "src/io/sha256.h"
#include "src/train/host_copy.h"

namespace lora_dist {

namespace {

/// The origin of an adapter: its base format, and digests of the rest, since an adapter may be shared where its data may not.
nlohmann::json origin_of(const TrainingRun& run, std::int64_t step) {
  const std::string configuration = print_config(run.config);
  return {{"program_version", kProgramVersion},
          {"step", step},
          {"base_format", json_of(run.model->base.format)},
          {"compute_dtype", name_of_compute(run.device->dtype)},
          {"base_model_hash", run.base_hash},
          {"training_samples_digest", run.data_digest},
          {"configuration_digest", sha256_of(std::as_bytes(std::span(configuration)))}};
}

}  // namespace

void save_adapter(const TrainingRun& run, std::int64_t step, const std::string& name) {
  const AtWork here("writing the adapter");
  run_together(*run.world, [&] {
    if (run.world->rank() != 0) {
      return;
    }
    PeftConfig peft = run.peft;
    KeptTensors kept{folder_tensors(run.layout), host_copy(run.buffers.params, run.model->stream)};
    if (const StepHooks* step = run.layout.method->step; step != nullptr) {
      kept = step->kept_tensors(run.layout, run.budget, kept.values, peft);
    }
    if (uses_residual(run.layout.init)) {
      kept = plain_tensors(run.layout, kept.values, host_copy(run.initial, run.model->stream), peft);
    }
    write_peft_adapter(run.output / name, peft, kept.tensors, kept.values, run.config.output.adapter_dtype, origin_of(run, step),
                       run.shared);
  });
}

}  // namespace lora_dist

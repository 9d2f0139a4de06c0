#include "src/train/resume.h"

#include <algorithm>

#include "src/comm/agree.h"
#include "src/config/config_keys.h"
#include "src/config/print_config.h"
#include "src/config/resume_rules.h"
#include "src/core/version.h"
#include "src/data/sampler.h"
#include "src/export/adapter_bridge.h"
#include "src/export/peft_adapter.h"

namespace lora_dist {

namespace {

std::filesystem::path checkpoints_of(const TrainingRun& run) { return run.output / "checkpoints"; }

/// Where to go on from, if anywhere.
std::optional<std::filesystem::path> find_start(const TrainingRun& run) {
  const std::string& resume = run.config.checkpoint.resume;
  if (resume == "never") {
    return std::nullopt;
  }
  if (resume != "auto") {
    return std::filesystem::path(resume);
  }
  const SoundCheckpoint found = newest_sound_checkpoint(*run.world, checkpoints_of(run));
  for (const std::string& warning : found.warnings) {
    run.console.warn(warning);
  }
  return found.path;
}

void show_changes(const TrainingRun& run, const std::map<std::string, std::string>& before) {
  const ResumeChanges changes = compare_settings(before, to_flat_settings(run.config));
  for (const SettingChange& change : changes.bits_may_differ) {
    run.console.line(fmt::format("note: {} was {} and is now {}; the last bits may differ from an uninterrupted run", change.key,
                                 change.before, change.after));
  }
}

}  // namespace

CheckpointIdentity identity_of(const TrainingRun& run) {
  CheckpointIdentity identity;
  identity.base_model_hash = run.base_hash;
  for (const auto& [name, value] : to_flat_settings(run.config)) {
    const Key* key = find_key(name);
    if (key == nullptr || key->on_resume == OnResume::refuse) {
      identity.settings[name] = value;
    }
  }
  identity.settings["data (digest of the training samples)"] = run.data_digest;
  identity.tensors = adapter_tensors(run.layout);
  identity.program_version = kProgramVersion;
  return identity;
}

std::optional<RunProgress> resume(TrainingRun& run) {
  const std::optional<std::filesystem::path> from = find_start(run);
  if (!from) {
    return std::nullopt;
  }
  const TrainingState state = load_checkpoint(*run.world, *from, identity_of(run));
  std::optional<RunProgress> progress;
  run_together(*run.world, [&] {
    std::map<std::string, std::string> before;
    progress = progress_from_json(state.progress, before);
    show_changes(run, before);
  });
  std::copy(state.params.begin(), state.params.end(), run.buffers.params.begin());
  std::copy(state.m.begin(), state.m.end(), run.buffers.m.begin());
  std::copy(state.v.begin(), state.v.end(), run.buffers.v.begin());
  run.console.line(fmt::format("resuming from {} (step {})", from->string(), progress->step));
  return progress;
}

void set_aside_later_checkpoints(const TrainingRun& run, std::int64_t step) {
  std::filesystem::path aside;
  for (const std::filesystem::path& checkpoint : find_checkpoints(checkpoints_of(run))) {
    if (*step_of(checkpoint.filename().string()) <= step) {
      continue;
    }
    for (int n = 1; aside.empty() || (std::filesystem::exists(aside) && n > 1); ++n) {
      aside = run.output / fmt::format("checkpoints_set_aside_{}", n);
    }
  }
}

void save(const TrainingRun& run, const RunProgress& progress) {
  TrainingState state;
  state.params.assign(run.buffers.params.begin(), run.buffers.params.end());
  state.m.assign(run.buffers.m.begin(), run.buffers.m.end());
  state.v.assign(run.buffers.v.begin(), run.buffers.v.end());
  state.step = progress.step;
  state.optimizer_step = progress.optimizer_step;
  const Cursor cursor = cursor_at(progress.step, static_cast<std::int64_t>(run.train.size()), run.config.train.global_batch);
  state.epoch = cursor.epoch;
  state.position_in_epoch = cursor.position;
  state.seed = static_cast<std::uint64_t>(run.config.train.seed);
  state.progress = to_json(progress, to_flat_settings(run.config));
  const SavedCheckpoint saved =
      save_checkpoint(*run.world, checkpoints_of(run), identity_of(run), state, run.config.checkpoint.keep);
  for (const std::string& warning : saved.warnings) {
    run.console.warn(warning);
  }
}

void save_adapter(const TrainingRun& run, const std::string& name) {
  run_together(*run.world, [&] {
    if (run.world->rank() != 0) {
      return;
    }
    PeftConfig peft;
    peft.r = run.config.adapter.r;
    peft.alpha = run.config.adapter.alpha;
    peft.dropout = run.config.adapter.dropout;
    peft.use_rslora = run.config.adapter.rslora;
    peft.base_model_name_or_path = run.config.model.path;
    for (const Linear linear : kAllLinears) {
      const bool adapted = std::any_of(run.layout.blocks.begin(), run.layout.blocks.end(),
                                       [&](const auto& block) { return block[index_of(linear)].has_value(); });
      if (adapted) {
        peft.target_modules.emplace_back(module_name(linear));
      }
    }
    write_peft_adapter(run.output / name, peft, adapter_tensors(run.layout), run.buffers.params);
  });
}

}  // namespace lora_dist

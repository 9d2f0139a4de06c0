// Opens a model folder and, where there is one, an adapter folder.
#include "src/train/open_model.h"

#include <algorithm>

#include "src/comm/agree.h"
#include "src/core/error.h"
#include "src/export/adapter_bridge.h"

namespace lora_dist {

std::unique_ptr<OpenModel> open_model(const std::filesystem::path& folder, const BaseFormat& format, bool shard, int threads,
                                      Communicator& world, const Console& console) {
  auto model = std::make_unique<OpenModel>();
  model->folder = folder;
  model->stream.threads = threads;
  run_together(world, [&] {
    model->spec = read_model_config(folder);
    model->directory = read_model_directory(folder);
    if (has_tokenizer(folder)) {
      model->tokenizer = open_tokenizer(folder);
      if (model->tokenizer->vocab_size > model->spec.vocab) {
        throw Error(
            ExitCode::model,
            fmt::format(
                "{}: the tokenizer has ids up to {}, the embedding only {} rows; tokenizer and weights do not belong together",
                model->tokenizer->file.string(), model->tokenizer->vocab_size - 1, model->spec.vocab));
      }
    }
  });
  for (const std::string& warning : model->spec.warnings) {
    console.warn(warning);
  }
  model->shards = world.split(shard ? 0 : world.rank());
  model->base = load_frozen_base(model->spec, model->directory, format, *model->shards, model->arena, model->stream);
  model->window = std::make_unique<WeightWindow>(model->base, *model->shards, model->arena);
  return model;
}

OpenAdapter no_adapter(const ModelSpec& spec) {
  OpenAdapter adapter;
  adapter.layout.blocks.resize(static_cast<std::size_t>(spec.layers));
  return adapter;
}

OpenAdapter open_adapter(const std::filesystem::path& folder, OpenModel& model, Communicator& world) {
  OpenAdapter adapter = no_adapter(model.spec);
  if (folder.empty()) {
    return adapter;
  }
  run_together(world, [&] {
    const PeftAdapter read = read_peft_adapter(folder);
    adapter.layout = layout_of(read, model.spec, folder.string());
    adapter.params = model.arena.take<float>(MemoryKind::adapters, "factors", adapter.layout.count);
    copy_factors(read, adapter.layout, adapter.params);
  });
  return adapter;
}

std::vector<std::int64_t> stop_ids_of(const OpenModel& model) {
  std::vector<std::int64_t> ids = model.spec.eos_ids;
  if (model.tokenizer && model.tokenizer->eos && std::find(ids.begin(), ids.end(), *model.tokenizer->eos) == ids.end()) {
    ids.push_back(*model.tokenizer->eos);
  }
  return ids;
}

}  // namespace lora_dist

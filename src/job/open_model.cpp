// Opens a model folder, and an adapter folder if given.
#include "src/job/open_model.h"

#include <algorithm>

#include "kernels/elementwise/copy.h"
#include "src/adapter/frozen_tensors.h"
#include "src/base/prequantized.h"
#include "src/base/trained_base.h"
#include "src/comm/agree.h"
#include "src/core/activity.h"
#include "src/core/error.h"
#include "src/job/data_setup.h"
#include "src/job/folder_adapter.h"
#include "src/job/ranks_agree.h"
#include "src/model/folder_warnings.h"

namespace lora_dist {

namespace {

/// The base's format.
BaseFormat choose_format(const OpenModel& model, const WantedFormat& wanted, const Console& console) {
  const std::optional<BaseFormat> stored = stored_format(model.spec, model.directory);
  if (!stored) {
    return wanted.format;
  }
  const BaseFormat format = agree_on_format(wanted, *stored, model.folder.string());
  if (describe(format) != describe(wanted.format)) {
    console.note(
        fmt::format("the weights in {} are quantized already, and stay so: {}", model.folder.string(), describe(format)));
  }
  return format;
}

}  // namespace

std::unique_ptr<OpenModel> open_model(const std::filesystem::path& folder, const WantedFormat& wanted, const Mesh& mesh,
                                      const BaseKeeping& keeping, const Device& device, Communicator& world,
                                      const Console& console, const GrownVocabulary& grown) {
  const AtWork here("reading the model");
  auto model = std::make_unique<OpenModel>();
  model->folder = folder;
  model->stream = device.stream;
  model->compute_dtype = device.dtype;
  model->arena = Arena(device.stream);
  model->pinned = Arena(device.stream, Arena::Memory::pinned);
  BaseFormat format;
  TpShard tp;
  run_together(world, [&] {
    model->spec = read_model_config(folder);
    grow_vocabulary(model->spec, grown);
    model->directory = read_model_directory(folder);
    format = choose_format(*model, wanted, console);
    tp = tp_shard(model->spec, mesh.tensor_rank, mesh.tensor, world.size());
    model->tokenizer = open_model_tokenizer(folder, model->spec, grown.tokenizer);
  });
  check_same_model(world, folder, model->directory);
  tell_tokenizer_notes(model->tokenizer, console);
  run_together(world, [&] {  // only on the rank that prints them: they may require reading weights
    for (const std::string& warning :
         console.speaks ? folder_warnings(model->spec, model->directory) : std::vector<std::string>{}) {
      console.warn(warning);
    }
  });
  const int replica = base_replica_of(mesh, keeping.shards);
  const int of_shards = replica * mesh.tensor + mesh.tensor_rank;
  const std::unique_ptr<Communicator> holders = world.split(replica);
  std::unique_ptr<Communicator> host_shards = world.split(of_shards);
  model->base = load_frozen_base(model->spec, model->directory, format, {*host_shards, *holders, world, tp},
                                 {model->arena, model->stream, model->compute_dtype, keeping.on_host ? &model->pinned : nullptr,
                                  keeping.of_node, keeping.divides_vocabulary, 0, keeping.trained});
  if (keeping.trained && model->compute_dtype != DType::f32) {
    model->values = std::move(model->base);
    run_together(world, [&] { model->base = round_base(*model->values, model->compute_dtype, model->arena, model->stream); });
  }
  model->shards = device.on_device() ? device.data->split(of_shards) : std::move(host_shards);
  if (mesh.tensor > 1) {
    model->tensor = (device.on_device() ? *device.data : world).split(mesh.data_rank);
  }
  run_together(world, [&] {
    model->window = std::make_unique<WeightWindow>(model->base, *model->shards, model->arena, model->stream, model->compute_dtype,
                                                   keeping.micro_batches_in_flight);
  });
  return model;
}

std::vector<MemoryItem> memory_of(const OpenModel& model) {
  std::vector<MemoryItem> items = model.arena.items();
  for (const Arena* arena : {&model.pinned, &model.host}) {
    items.insert(items.end(), arena->items().begin(), arena->items().end());
  }
  return items;
}

OpenAdapter no_adapter(const ModelSpec& spec) { return {empty_layout(spec), {}, {}}; }

OpenAdapter open_adapter(const std::filesystem::path& folder, OpenModel& model, Communicator& world) {
  OpenAdapter adapter = no_adapter(model.spec);
  if (folder.empty()) {
    return adapter;
  }
  run_together(world, [&] {
    FolderAdapter read = read_folder_adapter(folder, model.spec, model.directory, {.checks_tables = world.rank() == 0});
    adapter.layout = std::move(read.layout);
    adapter.params = model.arena.take<float>(MemoryKind::adapters, "parameters", adapter.layout.count);
    from_host(view(std::span<const float>(read.params)), view(adapter.params), model.stream);
    adapter.shared = shared_tensors(adapter.layout, read.config, std::move(read.shared), folder.string());
  });
  return adapter;
}

std::vector<std::int64_t> stop_ids_of(const OpenModel& model, const GenerationConfig& generation) {
  std::vector<std::int64_t> ids = generation.eos_ids.empty() ? model.spec.eos_ids : generation.eos_ids;
  if (model.tokenizer && model.tokenizer->eos && std::find(ids.begin(), ids.end(), *model.tokenizer->eos) == ids.end()) {
    ids.push_back(*model.tokenizer->eos);
  }
  return ids;
}

}  // namespace lora_dist

// Opens model, data and adapter in that order, and prints the results.
#include "src/job/model_run.h"

#include <algorithm>

#include "src/adapter/adapter_folders.h"
#include "src/comm/agree.h"
#include "src/comm/data_plane.h"
#include "src/core/error.h"
#include "src/core/version.h"
#include "src/io/file.h"
#include "src/io/sha256.h"
#include "src/job/adapter_setup.h"
#include "src/job/checkpoint_records.h"
#include "src/job/data_setup.h"
#include "src/job/full_setup.h"
#include "src/job/ranks_agree.h"
#include "src/job/tokenize_together.h"
#include "src/job/trained_format.h"
#include "src/report/progress.h"
#include "src/tokenizer/new_tokens.h"
#include "src/transformer/adapter_params.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kRoomForAnswers = 128;  // positions beyond max_length for generated text

/// Writes the base's actual format to the configuration: a prequantized folder overrides the request, as does the record of an
/// evaluated adapter.
void adopt_format(Config& config, const BaseFormat& format, const BaseFormat& wanted) {
  if (is_same_format(format, wanted_format(config).format)) {
    return;
  }
  const char* const origin = is_same_format(format, wanted) ? "the adapter's record" : "model.path";
  config.model.quantization = format.quantization;
  config.origins["model.quantization"] = origin;
  if (format.is_four_bit()) {
    config.model.double_quant = format.double_quant;
    config.model.block_size = static_cast<int>(format.block_size);
    config.origins["model.double_quant"] = config.origins["model.block_size"] = origin;
  }
}

/// Empty without a cache.
std::filesystem::path token_cache_folder(const Config& config) {
  switch (config.data.cache_dir.kind) {
    case TokenCache::nowhere:
      return {};
    case TokenCache::output_dir:
      return std::filesystem::path(config.output.dir) / "token_cache";
    case TokenCache::path:
      break;
  }
  return config.data.cache_dir.path;
}

std::string digest_of(const std::vector<Sample>& samples) {
  Sha256 digest;
  for (const Sample& sample : samples) {
    const auto length = static_cast<std::int64_t>(sample.input_ids.size());
    digest.update(std::as_bytes(std::span(&length, 1)));
    digest.update(std::as_bytes(std::span(sample.input_ids)));
    digest.update(std::as_bytes(std::span(sample.labels)));
  }
  return digest.hex();
}

/// training: lists the skipped rows in output.dir; an evaluation does not overwrite that list. virtual_tokens: the adapter's,
/// which take positions from the data.
void prepare_data(ModelRun& run, bool training, std::int64_t virtual_tokens) {
  Config& config = run.config;
  const ModelSpec& spec = run.model->spec;
  run_together(*run.world, [&] { fit_max_length(config, spec, virtual_tokens, run.console); });
  DataOptions options = data_options(config);
  options.template_day = day_of_templates(config, *run.world);
  run.dataset = tokenize_together(options, run.model->tokenizer ? &*run.model->tokenizer : nullptr, spec.vocab,
                                  token_cache_folder(config), *run.world, run.console);
  run_together(*run.world, [&] {
    if (training && run.world->rank() == 0 && config.data.bad_rows == BadRows::skip) {
      write_bad_rows(run.dataset.report, config.output.dir);
    }
    run.data_digest = digest_of(run.dataset.train);
  });
  const SetApart how = shows_colours(stdout) ? SetApart::by_colour : SetApart::by_marks;
  for (const std::string& line : render_report(run.dataset.report, how)) {
    run.console.line(line);
  }
}

/// The virtual tokens of the adapter in `folder`, or of a new one. Collective.
std::int64_t virtual_tokens_of(const AdapterConfig& adapter, const std::filesystem::path& folder, Communicator& world) {
  std::int64_t count = 0;
  run_together(world, [&] {
    if (folder.empty()) {
      count = configured_virtual_tokens(adapter);
      return;
    }
    for (const std::filesystem::path& each : adapter_folders(folder)) {
      count = std::max(count, read_adapter_config(each / "adapter_config.json").virtual_tokens);
    }
  });
  return count;
}

void show_model(const ModelRun& run) {
  const ModelSpec& spec = run.model->spec;
  const Config& config = run.config;
  run.console.line(fmt::format("model      {}: {} layers, hidden {}, {} heads ({} kv), intermediate {}, vocabulary {}; base {}",
                               config.model.path, spec.layers, spec.hidden, spec.heads, spec.kv_heads, spec.intermediate,
                               spec.vocab, describe(run.model->base.format)));
  run.console.line(
      fmt::format("mesh       {} data-parallel rank{}{}, {}; base {}{}", run.mesh.data, run.mesh.data == 1 ? "" : "s",
                  run.mesh.tensor == 1 ? "" : fmt::format(" x {} tensor-parallel", run.mesh.tensor), run.device->description(),
                  run.model->base.of_node      ? fmt::format("once a node, in memory that {} ranks share", run.model->base.shards)
                  : run.model->base.shards > 1 ? fmt::format("divided over {} ranks", run.model->base.shards)
                  : run.mesh.tensor > 1        ? "divided by the tensor ranks alone"
                                               : "whole on each rank",
                  run.model->base.on_host ? ", in the host's memory" : ""));
}

/// The number of data ranks that divide the base; warns of TP ranks on several machines. Collective.
int choose_shards(const ModelRun& run) {
  const Config& config = run.config;
  const std::vector<std::string> machines = all_gather_strings(*run.world, machine_identity(kBootId));
  std::int64_t sum_bytes = 0;
  run_together(*run.world, [&] {
    const ModelSpec spec = read_model_config(config.model.path);
    sum_bytes = config.train.micro_batch * std::min<std::int64_t>(config.data.max_length, spec.max_positions) * spec.hidden *
                static_cast<std::int64_t>(size_of(run.device->dtype));
  });
  if (const std::string apart = tensor_ranks_apart(run.mesh, machines, sum_bytes); !apart.empty()) {
    run.console.warn(apart);
  }
  const bool by_node = config.parallel.base_shards.of == BaseShards::Of::node;
  return base_shards_of(run.mesh, config.parallel.base_shards, by_node ? data_ranks_of_node(run.mesh, machines) : 1);
}

/// The vocabulary with the tokens of the adapter in `from` or, in training, of the configuration. Rank 0 writes the tokenizer
/// that has these to output.dir. Collective.
GrownVocabulary grown_vocabulary(ModelRun& run, Purpose purpose, const std::filesystem::path& from) {
  GrownVocabulary grown;
  NewTokens added;
  run_together(*run.world, [&] {
    grown = vocabulary_of(from);
    added = purpose == Purpose::train ? add_configured_tokens(run.config, grown) : NewTokens();
  });
  for (const std::string& note : added.notes) {
    run.console.note(note);
  }
  if (added.tokens.empty()) {
    return grown;
  }
  const std::filesystem::path written = run.output / "tokenizer";
  run_together(*run.world, [&] {
    if (run.world->rank() == 0) {
      write_tokenizer_with(run.config.model.path, written, added.tokens);
    }
  });
  grown.tokenizer = written;
  run.console.line(
      fmt::format("tokens     {} added, ids {} to {}", added.tokens.size(), added.tokens.front().id, added.tokens.back().id));
  return grown;
}

}  // namespace

std::vector<PeftConfig> ModelRun::descriptions() const {
  std::vector<PeftConfig> all = {peft};
  all.insert(all.end(), peft_beside.begin(), peft_beside.end());
  return all;
}

ForwardContext ModelRun::tuned() const {
  return {&model->base,        &part.layout, model->window.get(), &workspace, part_params, model->stream,
          model->tensor.get(), nullptr,      part_initial};
}

ForwardContext ModelRun::base() const {
  return {&model->base, &no_layout, model->window.get(), &workspace, {}, model->stream, model->tensor.get()};
}

WantedFormat wanted_format(const Config& config) {
  return {{config.model.quantization, config.model.double_quant, config.model.block_size},
          "model.quantization",
          config.is_explicit("model.quantization"),
          config.is_explicit("model.double_quant"),
          config.is_explicit("model.block_size")};
}

WorkspaceOptions workspace_options(const Config& config, const ModelSpec& spec, std::int64_t virtual_tokens, DType compute_dtype,
                                   Purpose purpose) {
  WorkspaceOptions options;
  options.longest = config.data.max_length + virtual_tokens;  // packing leaves room for those of one sample
  options.max_positions = std::min<std::int64_t>(spec.max_positions, options.longest + kRoomForAnswers);
  options.max_tokens = config.train.micro_batch * options.longest;
  options.micro_batches_in_flight = config.train.micro_batches_in_flight;
  options.training = purpose == Purpose::train;
  options.recompute = config.train.recompute;
  options.compute_dtype = compute_dtype;
  options.sequence_parallel = config.parallel.sequence_parallel;
  options.dropout = options.training && config.adapter.dropout > 0.0 && method_of(config.adapter.method.first).keys.dropout;
  return options;
}

DeviceChoice device_choice(const Config& config) {
  return {config.parallel.backend, config.model.compute_dtype, config.parallel.communicator, std::nullopt};
}

void begin_run(ModelRun& run, const Config& config, Communicator& world, const Device& device, Purpose purpose) {
  run.config = config;
  run.world = &world;
  run.device = &device;
  run.console.speaks = world.rank() == 0;
  run.output = config.output.dir;
  check_same_program(world, config, kProgramVersion);
  run_together(world, [&] {
    if (run.config.parallel.base_device == BaseDevice::device && !run.device->on_device()) {
      throw Error(ExitCode::usage,
                  "parallel.base_device = \"device\" needs a GPU (parallel.backend = \"cuda\"); on CPUs use \"auto\"");
    }
    if (purpose == Purpose::train && trains_base(run.config)) {
      const ModelSpec spec = read_model_config(run.config.model.path);
      check_trained_folder(run.config.model.path, spec);
      check_trained_model(run.config, spec);
    } else if (purpose == Purpose::train) {
      choose_targets(run.config, read_model_config(run.config.model.path));
    }
    if (run.world->rank() == 0) {
      make_output_directory(run.output, "output.dir");
    }
  });
}

void open_model_and_data(ModelRun& run, Purpose purpose, const std::filesystem::path& adapter) {
  const Config config = run.config;
  const bool training = purpose == Purpose::train;
  run.mesh = make_mesh(*run.world, config.parallel.tensor);
  BaseKeeping keeping{choose_shards(run), config.parallel.shard_vocabulary, config.parallel.base_device == BaseDevice::host,
                      config.train.micro_batches_in_flight, config.parallel.base_shards.of == BaseShards::Of::node};
  if (training && trains_base(config)) {
    tell_of_forced_slices(config, run.console);
    keeping = {.shards = run.mesh.data, .micro_batches_in_flight = config.train.micro_batches_in_flight, .trained = true};
  }
  const std::filesystem::path from = adapter.empty() ? std::filesystem::path(config.adapter.init_from) : adapter;
  const std::optional<BaseFormat> record = from.empty() ? std::nullopt : agreed_record(from, *run.world);
  const WantedFormat wanted = training ? wanted_format(config) : as_recorded(wanted_format(config), record);
  const GrownVocabulary grown = grown_vocabulary(run, purpose, from);
  run.model = open_model(config.model.path, wanted, run.mesh, keeping, *run.device, *run.world, run.console, grown);
  run.tokenizer_folder = grown.tokenizer;
  if (!training || record) {  // init_from may lack a record
    tell_of_record(from, record, wanted, run.model->base.format, run.console);
  }
  adopt_format(run.config, run.model->base.format, wanted.format);
  show_model(run);
  prepare_data(run, training, virtual_tokens_of(config.adapter, from, *run.world));
}

void open_run(ModelRun& run, Purpose purpose, const std::filesystem::path& adapter) {
  open_model_and_data(run, purpose, adapter);
  prepare_adapter(run, purpose, adapter);
  pack_data(run);
}

void pack_data(ModelRun& run) {
  const Config& config = run.config;
  const auto pack = [&](std::span<const Sample> samples) {
    return pack_samples(samples, config.data.max_length, config.data.packing, run.layout.virtual_tokens.count);
  };
  run_together(*run.world, [&] {
    run.train = pack(run.dataset.train);
    std::span<const Sample> validation = run.dataset.validation;
    if (config.eval.max_samples > 0) {
      validation = validation.first(std::min(validation.size(), static_cast<std::size_t>(config.eval.max_samples)));
    }
    run.validation = pack(validation);
  });
}

void take_workspace(ModelRun& run, Purpose purpose) {
  const WorkspaceOptions options =
      workspace_options(run.config, run.model->spec, run.layout.virtual_tokens.count, run.device->dtype, purpose);
  run.workspace = make_workspace(run.model->base, run.part.layout, options, run.model->arena, run.model->stream);
  fill_frozen(run.layout, run.part, run.shared, run.workspace, run.model->stream);
  if (purpose == Purpose::evaluate || run.world->rank() > 0) {
    run.shared.clear();
  }
}

}  // namespace lora_dist

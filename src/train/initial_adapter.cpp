// Each TP rank makes the values of its shard; the others receive them.
#include "src/train/initial_adapter.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "kernels/common/philox.h"
#include "kernels/elementwise/copy.h"
#include "src/adapter/adapter_bridge.h"
#include "src/adapter/initial_factors.h"
#include "src/adapter/joined_layout.h"
#include "src/adapter/peft_adapter.h"
#include "src/adapter/tensor_roles.h"
#include "src/adapter/trained_modules_folder.h"
#include "src/base/table_rows.h"
#include "src/comm/agree.h"
#include "src/core/activity.h"
#include "src/core/elapsed.h"
#include "src/core/error.h"
#include "src/data/tokenize.h"
#include "src/model/family.h"
#include "src/train/host_copy.h"
#include "src/transformer/adapter_params.h"
#include "src/transformer/embed.h"
#include "src/transformer/trained_norms.h"

namespace lora_dist {

namespace {

/// Calls work(slice of the whole, offset in the shard) for each parameter with from_base.
template <class Work>
void for_each_from_base(const AdapterShard& shard, Work work) {
  const std::vector<NamedParameter> named = named_parameters(shard.layout);
  for (std::size_t i = 0; i < named.size(); ++i) {
    if (named[i].parameter.from_base) {
      work(shard.parameters[i].in_whole, shard.parameters[i].offset);
    }
  }
}

std::string bytes_from_base(const AdapterShard& shard, std::span<const float> values) {
  std::string bytes;
  for_each_from_base(shard, [&](const StridedSlice& slice, std::int64_t offset) {
    bytes.append(reinterpret_cast<const char*>(values.data() + offset),
                 static_cast<std::size_t>(slice.elements()) * sizeof(float));
  });
  return bytes;
}

void put_from_base(const AdapterShard& shard, const std::string& bytes, std::vector<float>& whole) {
  const char* next = bytes.data();
  for_each_from_base(shard, [&](const StridedSlice& slice, std::int64_t /*offset*/) {
    for (std::int64_t row = 0; row < slice.rows; ++row) {
      const auto count = static_cast<std::size_t>(slice.width) * sizeof(float);
      std::memcpy(whole.data() + slice.first(row), next, count);
      next += count;
    }
  });
}

/// PEFT's SAMPLE_VOCAB. An id depends on (seed, element) alone.
std::vector<std::int32_t> random_ids(std::uint64_t seed, std::int64_t count, std::int64_t vocab) {
  constexpr std::uint32_t kStreamOfIds = 0x564F4341U;  // separates these counters from other uses of the seed
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < count; ++i) {
    const PhiloxCounter bits = philox4x32({static_cast<std::uint32_t>(i), 0, 0, kStreamOfIds},
                                          {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
    ids.push_back(static_cast<std::int32_t>((std::uint64_t{bits[0]} * static_cast<std::uint64_t>(vocab)) >> 32));
  }
  return ids;
}

/// The text's ids, repeated or cut.
std::vector<std::int32_t> ids_of_text(const OpenModel& model, const std::string& text, std::int64_t count) {
  const auto refuse = [&](const char* why) {
    throw Error(ExitCode::model, fmt::format("{}: adapter.prompt.init = \"text\" {}", model.folder.string(), why));
  };
  if (!model.tokenizer) {
    refuse("needs a tokenizer, and this folder has none");
  }
  const std::vector<std::int32_t> of_text = encode_prompt(*model.tokenizer, text);
  if (of_text.empty()) {
    refuse("needs a text of at least one token");
  }
  std::vector<std::int32_t> ids;
  for (std::int64_t i = 0; i < count; ++i) {
    ids.push_back(of_text[static_cast<std::size_t>(i) % of_text.size()]);
  }
  check_ids(ids, model.spec.vocab, "adapter.prompt.text");
  return ids;
}

/// The virtual tokens become rows of the embedding.
void initialize_from_embedding(TrainingRun& run) {
  const AtWork now("making the virtual tokens from the embedding");
  const PromptConfig& prompt = run.config.adapter.prompt;
  const Parameter& rows = run.layout.virtual_tokens.parameter;
  std::vector<std::int32_t> ids;
  run_together(*run.world, [&] {
    ids = prompt.init == PromptInit::text
              ? ids_of_text(*run.model, prompt.text, rows.shape[0])
              : random_ids(static_cast<std::uint64_t>(run.config.train.seed), rows.shape[0], run.model->spec.vocab);
  });
  embedding_rows(run.tuned(), ids, view(run.params.data() + rows.offset, rows.shape));
  take_shard(run.part, run.params, run.part_params, run.model->stream);
}

/// A new adapter's norms begin as the base's. Every rank has them whole.
void initialize_norms(TrainingRun& run) {
  if (run.layout.norms.empty()) {
    return;
  }
  const Stream& stream = run.model->stream;
  const float added = run.model->spec.norm_adds_one ? 1.0F : 0.0F;
  for (const TrainedNorm& norm : run.layout.norms) {
    const NormWeights& base = frozen_norm(run.model->base, norm.site, norm.layer);
    for (std::size_t i = 0; i < norm.parameters.size(); ++i) {
      std::vector<float> values = host_copy(i == 0 ? base.weight : base.bias, stream);
      std::ranges::transform(values, values.begin(), [&](float value) { return i == 0 ? value - added : value; });
      const auto offset = static_cast<std::size_t>(norm.parameters[i].offset);
      from_host(view(std::span<const float>(values)), view(run.params.subspan(offset, values.size())), stream);
    }
  }
  take_shard(run.part, run.params, run.part_params, stream);
}

/// Trained rows begin as the model's files have them. Every rank has them whole.
void initialize_tables(TrainingRun& run) {
  if (run.layout.tables.empty()) {
    return;
  }
  const AtWork now("reading the first values of trained rows");
  const OpenModel& model = *run.model;
  run_together(*run.world, [&] {
    for (const TrainedTable& table : run.layout.tables) {
      const TensorNames& names = model.spec.family->names;
      const bool of_head = table.site == TableSite::head && !model.spec.tied_head;
      const std::string_view name = of_head ? names.heads[0] : names.embedding;
      const std::vector<float> values = table.is_whole() ? table_rows(model.spec, model.directory, name, {0, model.spec.vocab})
                                                         : table_rows_of(model.spec, model.directory, name, table.ids);
      const auto offset = static_cast<std::size_t>(table.parameter.offset);
      from_host(view(std::span<const float>(values)), view(run.params.subspan(offset, values.size())), model.stream);
    }
  });
  take_shard(run.part, run.params, run.part_params, model.stream);
}

/// The small tensors of full fine-tuning, as the files have them. Every rank has them whole.
void read_vectors(TrainingRun& run) {
  run_together(*run.world, [&] {
    for (const auto& [path, parameter] : named_parameters(run.layout)) {
      const Shape& shape = parameter.shape;
      const ModelTensor wanted{tensor_of(path, parameter.name), {shape.dims.begin(), shape.dims.begin() + shape.rank}};
      const TensorInfo& tensor = find_tensor(run.model->spec, run.model->directory, wanted);
      const std::vector<float> values = read_floats(tensor, 0, shape.count());
      from_host(view(std::span<const float>(values)), view(run.params.data() + parameter.offset, {shape.count()}),
                run.model->stream);
    }
    take_shard(run.part, run.params, run.part_params, run.model->stream);
  });
}

bool has_other_scales(const AdapterLayout& layout) {
  const auto differs = [](const std::optional<AdaptedLinear>& adapted) { return adapted && adapted->scale != 1.0F; };
  return std::ranges::any_of(layout.blocks, [&](const auto& block) { return std::ranges::any_of(block, differs); });
}

}  // namespace

void initialize_adapter_from_weights(TrainingRun& run) {
  if (!needs_weights(run.layout.init)) {
    return;
  }
  if (run.layout.init == LoraInit::loftq && has_other_scales(run.layout)) {
    run.console.note(
        "adapter.init = \"loftq\" makes up for what quantization loses only where adapter.alpha / adapter.r (with rslora, "
        "alpha / sqrt(r)) is 1, and here it is not");
  }
  const AtWork now("making the adapter's first values from the weights");
  const auto start = Clock::now();
  std::vector<float> values(static_cast<std::size_t>(run.layout.count));
  run_together(*run.world, [&] {
    fill_initial_factors(run.layout, {run.model->spec, run.model->directory, run.model->base.format},
                         {run.world->rank(), run.world->size()}, values, Stream{.threads = run.model->stream.threads});
  });
  run.world->all_reduce_sum(view(std::span(values)), WireKind::control);  // the others' are zero: exact
  const Stream& stream = run.model->stream;
  const auto put = [&](std::span<float> whole, std::span<float> part) {
    from_host(view(std::span<const float>(values)), view(whole), stream);
    take_shard(run.part, whole, part, stream);
  };
  if (uses_residual(run.layout.init)) {
    put(run.initial, run.part_initial);
  }
  if (run.config.adapter.init_from.empty()) {
    const std::vector<float> factors = std::exchange(values, host_copy(run.params, stream));
    for (const AdapterTensor& tensor : adapter_tensors(layout_of_method(run.layout, *run.layout.method))) {
      if (replaced_disk_name(tensor.name).empty()) {  // trained copies and rows stay, as do other methods' tensors
        std::copy_n(factors.begin() + tensor.offset, tensor.count, values.begin() + tensor.offset);
      }
    }
    put(run.params, run.part_params);
  }
  run.console.line(
      fmt::format("adapter    first values by {} in {:.1f} s", word_of(kLoraInits, run.layout.init), seconds_since(start)));
}

void initialize_adapter_from_base(TrainingRun& run) {
  const AdapterMethod& method = *run.layout.method;
  if (method.part == TrainedPart::base) {
    read_vectors(run);
    return;
  }
  if (!run.config.adapter.init_from.empty()) {
    return;
  }
  initialize_norms(run);
  initialize_tables(run);
  if (run.config.adapter.prompt.init != PromptInit::random) {
    initialize_from_embedding(run);
  }
  if (method.initialize_from_base == nullptr) {
    return;
  }
  const AtWork now("making the adapter's first values from the base");
  const Stream& stream = run.model->stream;
  initialize_from_base(run.tuned(), run.part_params);
  if (run.part.parameters.empty()) {
    return;
  }
  const std::string mine = bytes_from_base(run.part, host_copy(run.part_params, stream));
  const std::vector<std::string> all = all_gather_strings(*run.mesh.tensor_group, mine);
  std::vector<float> whole = host_copy(run.params, stream);
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    const TpShard shard = tp_shard(run.model->spec, static_cast<int>(rank), static_cast<int>(all.size()));
    put_from_base(make_adapter_shard(run.layout, run.model->spec, shard), all[rank], whole);
  }
  from_host(view(std::span<const float>(whole)), view(run.params), stream);
  take_shard(run.part, run.params, run.part_params, stream);
}

}  // namespace lora_dist

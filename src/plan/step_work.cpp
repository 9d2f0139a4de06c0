// Counts along transformer.cpp, head.cpp, attention_sublayer.cpp, mlp_sublayer.cpp, weight_window.cpp and table_window.cpp.
#include "src/plan/step_work.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/cross_entropy/cross_entropy.h"
#include "src/base/table_window.h"
#include "src/core/error.h"
#include "src/transformer/tensor_parallel.h"

namespace lora_dist {

namespace {

[[noreturn]] void fail(const std::string& message) { throw Error(ExitCode::usage, message, ErrorScope::collective); }

/// Keys that a query sees, on average over a sample.
double keys_seen(std::int64_t tokens, std::int64_t window) {
  const auto n = static_cast<double>(tokens);
  const double w = window > 0 ? std::min(n, static_cast<double>(window)) : n;
  return (w * (w + 1.0) / 2.0 + (n - w) * w) / n;
}

bool is_recomputed(const PlannedModel& model, std::int64_t layer) {
  return model.config.train.recompute == Recompute::block && layer + 1 < model.spec.layers;
}

/// How often a micro-batch fetches this block: each way ends where the other one begins, and finds the last two blocks in the
/// slots.
std::int64_t fetches_of(std::int64_t layer, std::int64_t layers) { return (layer >= 2 ? 1 : 0) + (layer + 3 <= layers ? 1 : 0); }

void add_fetch(FetchWork& work, std::int64_t slice_bytes, int shards) {
  ++work.fetches;
  work.bytes += slice_bytes * shards;
  work.slice_bytes += slice_bytes;
}

/// A window's way through embedding and head, with the slots that it has.
struct TableWalk {
  TwoSlots slots;
  const FrozenBase& base;
  const std::byte* first;  // addresses that stand for chunks: those of the embedding, then the head's where it is not tied

  const std::byte* key(bool of_head, std::int64_t chunk) const {
    return first + chunk + (of_head && !base.spec.tied_head ? base.embedding.chunks : 0);
  }
  void fetch(const VocabTable& table, bool of_head, std::int64_t chunk, FetchWork& work) {
    if (slots.find(key(of_head, chunk)) < 0) {
      slots.take(key(of_head, chunk));
      add_fetch(work, table.slice_bytes(chunk), table.shards);
    }
  }
  /// From chunk to chunk, the next one fetched while one is held.
  void walk(const VocabTable& table, bool of_head, std::int64_t from, std::int64_t by, FetchWork& work) {
    for (std::int64_t i = from; i >= 0 && i < table.chunks; i += by) {
      fetch(table, of_head, i, work);
      slots.hold(key(of_head, i), true);
      if (i + by >= 0 && i + by < table.chunks) {
        fetch(table, of_head, i + by, work);
      }
      slots.hold(key(of_head, i), false);
    }
  }
};

/// Of a training micro-batch that follows another one.
void count_table_fetches(const FrozenBase& base, MicroBatchWork& work) {
  if (!base.head.gathers()) {
    return;
  }
  const std::vector<std::byte> keys(static_cast<std::size_t>(base.embedding.chunks + base.head.chunks));
  TableWalk window{{}, base, keys.data()};
  for (int pass = 0; pass < 2; ++pass) {
    work.embedding = {};
    work.head = {};
    window.walk(base.embedding, false, 0, 1, work.embedding);
    window.fetch(base.head, true, 0, work.head);
    window.walk(base.head, true, 0, 1, work.head);
    if (base.head.chunks > 1) {
      window.walk(base.head, true, base.head.chunks - 1, -1, work.head);
    }
  }
}

/// Weights of a block, without those of its last product.
struct BlockWeightCount {
  double all = 0.0;
  double but_down = 0.0;
};
BlockWeightCount count_weights(const BlockLayout& layout) {
  BlockWeightCount count;
  for (const Linear linear : kAllLinears) {
    const WeightLayout& weight = layout.weights[index_of(linear)];
    const auto elements = static_cast<double>(weight.rows * weight.cols);
    count.all += elements;
    count.but_down += linear == Linear::down ? 0.0 : elements;
  }
  return count;
}

double count_factors(const AdapterLayout& layout, std::int64_t layer) {
  double count = 0.0;
  for (const auto& adapted : layout.blocks[static_cast<std::size_t>(layer)]) {
    count += adapted ? static_cast<double>(adapted->r * (adapted->in + adapted->out)) : 0.0;
  }
  return count;
}

/// FLOP for each token.
void add_block_flops(const PlannedModel& model, const PlannedRank& rank, std::int64_t layer, std::int64_t sample_tokens,
                     double tokens, MicroBatchWork& work) {
  const BlockWeightCount weights = count_weights(rank.base.layouts[static_cast<std::size_t>(layer)]);
  const double factors = count_factors(rank.part.layout, layer);
  const double attention =
      keys_seen(sample_tokens, model.spec.layer(layer).window) * static_cast<double>(rank.base.spec.query_width());
  work.forward_flops += tokens * (2.0 * weights.all + 2.0 * factors + 4.0 * attention);
  work.backward_flops += tokens * (2.0 * weights.all + 4.0 * factors + 10.0 * attention);
  const double again = tokens * (2.0 * weights.but_down + 2.0 * factors + 4.0 * attention);
  if (is_recomputed(model, layer)) {
    work.backward_flops += again;
  } else if (model.config.train.recompute == Recompute::block) {
    work.last_recompute_flops = again;
  }
}

/// What dequantizing a block ahead reads and writes.
double dequantized_bytes(const BlockLayout& layout, DType dtype) {
  double bytes = 0.0;
  for (const WeightLayout& weight : layout.weights) {
    if (weight.format.quantization != Quantization::none || weight.dtype != dtype) {
      bytes += static_cast<double>(weight.codes_bytes + weight.absmax_bytes + weight.nested_bytes) +
               static_cast<double>(weight.rows * weight.cols) * static_cast<double>(size_of(dtype));
    }
  }
  return bytes;
}

/// Sums over the TP ranks that a micro-batch makes over [tokens, hidden]: after the embedding, after attention and MLP, again
/// where they are recomputed, and before each of them on the way back. The lowest block's input has no gradient.
std::int64_t hidden_sums(const PlannedModel& model) {
  const ModelSpec& spec = model.spec;
  std::int64_t sums = 1;
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    sums += 2;
    sums += layer > 0 ? 2 : spec.parallel_residual ? 0 : 1;
    if (is_recomputed(model, layer)) {
      sums += spec.norm_place == NormPlace::after ? 2 : 1;
    }
  }
  return sums;
}

/// Gathers of rows that belong to those sums with sequence parallelism: what enters attention and MLP, again where it is made
/// again, the gradients of what leaves them, and what enters the head.
std::int64_t hidden_gathers(const PlannedModel& model) {
  const std::int64_t layers = model.spec.layers;
  return 4 * layers + (model.config.train.recompute == Recompute::none ? 0 : 2 * (layers - 1)) + 1;
}

/// Tokens that TP ranks exchange rows of.
struct TensorTokens {
  std::int64_t all = 0;
  std::int64_t padded = 0;  // with the rows that fill the ranks' own parts
  std::int64_t targets = 0;
};

/// Bytes of a value of a hidden state, gathered and summed.
struct ValueBytes {
  std::int64_t gathered = 0;
  std::int64_t summed = 0;
};
ValueBytes value_bytes(const PlannedModel& model, const PlanTarget& target) {
  const auto value = static_cast<std::int64_t>(size_of(target.dtype));
  // MPI through the host adds in f32.
  const bool widened = target.on_device() && model.config.parallel.communicator == CommunicatorKind::mpi;
  return {value, widened ? static_cast<std::int64_t>(sizeof(float)) : value};
}

/// Bytes of one TP rank, where a micro-batch's last block is recomputed.
std::int64_t last_recompute_bytes(const PlannedModel& model, const PlanTarget& target, int ranks, std::int64_t tokens) {
  const ModelSpec& spec = model.spec;
  const ValueBytes bytes = value_bytes(model, target);
  const Recompute recompute = model.config.train.recompute;
  const std::int64_t sums = recompute != Recompute::block ? 0 : spec.norm_place == NormPlace::after ? 2 : 1;
  if (!model.config.parallel.sequence_parallel) {
    return sums * tokens * spec.hidden * bytes.summed;
  }
  const std::int64_t gathers = recompute == Recompute::none ? 0 : 2;
  const std::int64_t shard = tokens_of_shard(tokens, ranks);
  return (sums * shard * ranks * bytes.summed + gathers * shard * bytes.gathered) * spec.hidden;
}

/// `chunks`: of the head.
TensorWork tensor_work(const PlannedModel& model, const PlanTarget& target, int ranks, std::int64_t chunks,
                       const TensorTokens& tokens) {
  const auto [value, summed] = value_bytes(model, target);
  const std::int64_t hidden = model.spec.hidden;
  TensorWork work;
  work.sums = 1;  // the gradient of what the head looks at
  work.summed_bytes = tokens.targets * hidden * summed;
  work.gathers = 1;  // the softmax
  work.gathered_bytes = tokens.targets * chunks * static_cast<std::int64_t>(kSoftmaxNumbers * sizeof(float));
  if (!model.config.parallel.sequence_parallel) {
    work.sums += hidden_sums(model);
    work.summed_bytes += hidden_sums(model) * tokens.all * hidden * summed;
    return work;
  }
  work.scatters = hidden_sums(model);
  work.scattered_bytes = hidden_sums(model) * tokens.padded * hidden * summed;
  work.gathers += hidden_gathers(model);
  work.gathered_bytes += hidden_gathers(model) * (tokens.padded / ranks) * hidden * value;
  return work;
}

}  // namespace

std::int64_t StepShape::recomputed_last(int data) const {
  std::int64_t count = 0;
  for (int rank = 0; rank < data; ++rank) {
    const std::int64_t of_rank = (passes() - rank + data - 1) / data;
    count += of_rank > 0 ? of_rank - (of_rank + micro_batches_in_flight - 1) / micro_batches_in_flight : 0;
  }
  return count;
}

std::int64_t StepShape::divided_rows(int ranks) const {
  const auto rows = [&](std::int64_t of_pass) { return tokens_of_shard(of_pass * sequence_tokens, ranks) * ranks; };
  return sequences / micro_batch * rows(micro_batch) + rows(sequences % micro_batch);
}

StepShape step_shape(const Config& config, const PlanOptions& options) {
  StepShape step;
  step.sequences = config.train.global_batch;
  step.micro_batch = std::min(config.train.micro_batch, config.train.global_batch);
  step.micro_batches_in_flight = config.train.micro_batches_in_flight;
  step.sequence_tokens = options.tokens_per_sequence > 0 ? options.tokens_per_sequence : config.data.max_length;
  const char* full = options.tokens_per_sequence > 0 ? "--tokens-per-sequence" : "data.max_length";
  if (step.sequence_tokens > config.data.max_length) {
    fail(fmt::format("--tokens-per-sequence {} is more than data.max_length ({}) allows", step.sequence_tokens,
                     config.data.max_length));
  }
  step.sample_tokens = options.tokens_per_sample > 0 ? options.tokens_per_sample : step.sequence_tokens;
  if (step.sample_tokens > step.sequence_tokens) {
    fail(fmt::format("--tokens-per-sample {} is more than a sequence has ({} {})", step.sample_tokens, full,
                     step.sequence_tokens));
  }
  if (!config.data.packing && options.tokens_per_sample > 0) {  // a sequence is a sample
    step.sequence_tokens = step.sample_tokens;
  }
  step.samples_of_sequence = std::max<std::int64_t>(1, step.sequence_tokens / step.sample_tokens);
  return step;
}

MicroBatchWork work_of_micro_batch(const PlannedModel& model, const PlanTarget& target, const PlannedRank& rank,
                                   const StepShape& step) {
  const ModelSpec& spec = rank.base.spec;
  const std::int64_t tokens = step.micro_batch * step.sequence_tokens;
  const std::int64_t targets = step.micro_batch * (step.sequence_tokens - step.samples_of_sequence);
  MicroBatchWork work;
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    add_block_flops(model, rank, layer, step.sample_tokens, static_cast<double>(tokens), work);
    const BlockLayout& layout = rank.base.layouts[static_cast<std::size_t>(layer)];
    const std::int64_t fetches = fetches_of(layer, spec.layers);
    for (std::int64_t i = 0; i < fetches; ++i) {
      add_fetch(work.blocks, layout.slice_bytes, rank.base.shards);
    }
    if (target.on_device()) {
      work.dequantized_bytes += static_cast<double>(fetches) * dequantized_bytes(layout, target.dtype);
    }
  }
  count_table_fetches(rank.base, work);
  work.head_chunks = rank.base.head.chunks;
  const bool twice = rank.base.head.gathers() && rank.base.head.chunks > 1;
  work.head_flops = (twice ? 6.0 : 4.0) * static_cast<double>(targets) * static_cast<double>(spec.vocab * spec.hidden);
  if (const TpShard& part = rank.base.part; !part.is_whole()) {
    work.tensor = tensor_work(model, target, part.ranks, work.head_chunks,
                              {tokens, tokens_of_shard(tokens, part.ranks) * part.ranks, targets});
  }
  return work;
}

WireBytes wire_of_step(const PlannedModel& model, const PlanTarget& target, const PlannedMesh& mesh, const StepShape& step,
                       std::int64_t slice_bytes, std::int64_t head_chunks) {
  WireBytes wire;
  if (mesh.gathers()) {  // ranks without a micro-batch serve the others
    wire[WireKind::base_gather] = step.walks(mesh.data) * mesh.data * slice_bytes;
  }
  if (mesh.ranks() > 1) {  // fixed point of 64 bits
    wire[WireKind::adapter_gradient] = mesh.ranks() * model.layout.count * static_cast<std::int64_t>(sizeof(std::int64_t));
  }
  if (mesh.tensor > 1) {
    const TensorWork work =
        tensor_work(model, target, mesh.tensor, head_chunks, {step.tokens(), step.divided_rows(mesh.tensor), step.targets()});
    const std::int64_t recomputed = last_recompute_bytes(model, target, mesh.tensor, step.micro_batch * step.sequence_tokens);
    wire[WireKind::tensor_activation] = mesh.tensor * (work.bytes() + step.recomputed_last(mesh.data) * recomputed);
  }
  return wire;
}

}  // namespace lora_dist

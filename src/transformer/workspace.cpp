// Sizes and takes the buffers of forward and backward.
#include "src/transformer/workspace.h"

#include <algorithm>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/elementwise/copy.h"
#include "src/model/model_config.h"
#include "src/transformer/operator_scratch.h"
#include "src/transformer/tensor_parallel.h"
#include "src/transformer/trained_tables.h"

namespace lora_dist {

namespace {

constexpr std::int64_t kLogitsElements = std::int64_t{1} << 23;      // 32 MiB of logits at a time
constexpr std::int64_t kLogitsElementsCuda = std::int64_t{1} << 26;  // enough rows to keep a GPU's product busy
constexpr std::int64_t kLeastLogitsRows = 16;
constexpr std::int64_t kLogitsTile = 256;  // rows of a GPU product's largest tile

TensorView take(Arena& arena, MemoryKind kind, const std::string& name, DType dtype, std::int64_t count) {
  if (size_of(dtype) == 2) {
    return {arena.take<std::uint16_t>(kind, name, count).data(), dtype, {count}};
  }
  return view(arena.take<float>(kind, name, count).data(), {count});
}

struct Builder {
  Arena& arena;
  std::int64_t tokens;
  DType dtype;
  bool sequence_parallel = false;

  RowBuffer rows(const std::string& name, std::int64_t width) const {
    return {take(arena, MemoryKind::activations, name, dtype, tokens * width).data, width, dtype};
  }
  /// Always f32, for any compute dtype.
  RowBuffer rows_f32(const std::string& name, std::int64_t width) const {
    return {arena.take<float>(MemoryKind::activations, name, tokens * width).data(), width};
  }
};

/// For the tokens of this rank's sequence-parallel shard, and for those of all ranks.
struct RowBuilders {
  Builder shard;
  Builder all;
};

RowBuilders row_builders(const FrozenBase& base, const WorkspaceOptions& options, Arena& arena) {
  const int ranks = base.tp.ranks;
  const bool sequence_parallel = options.sequence_parallel && ranks > 1;
  const std::int64_t shard = sequence_parallel ? tokens_of_shard(options.max_tokens, ranks) : options.max_tokens;
  const std::int64_t all = sequence_parallel ? shard * ranks : options.max_tokens;
  return {{arena, shard, options.compute_dtype, sequence_parallel}, {arena, all, options.compute_dtype, sequence_parallel}};
}

/// `exists`: whether the model has this norm.
NormBuffers make_norm(const Builder& build, const ModelSpec& spec, const std::string& name, bool exists = true) {
  if (!exists) {
    return {};
  }
  return {build.rows_f32("mean of " + name, spec.norm == Norm::layer ? 1 : 0), build.rows_f32("rstd of " + name, 1)};
}

/// The activations that recompute = selective recomputes, so that one set serves all blocks.
void make_cheap(const Builder& build, const ModelSpec& spec, SavedActivations& block) {
  const std::int64_t normed = spec.norm_before || build.sequence_parallel ? spec.hidden : 0;
  block.normed_in = build.rows("normed_in", normed);
  block.normed_middle = build.rows("normed_middle", spec.hidden);
  block.activated = build.rows("activated", spec.intermediate);
}

std::int64_t saved_output_width(const AdapterMethod& method, const AdaptedLinear& linear) {
  return method.linear.saved_output_width == nullptr ? 0 : method.linear.saved_output_width(linear);
}

/// pfeiffer and houlsby save their input, which nothing else does.
BottleneckBuffers make_bottleneck(const RowBuilders& rows, const ModelSpec& spec, const Bottlenecks& bottlenecks, bool training) {
  const bool keeps = training && bottlenecks.options.placement != BottleneckPlacement::parallel;
  return {rows.shard.rows("bottleneck input", keeps ? spec.hidden : 0),
          rows.shard.rows("bottleneck z", bottlenecks.options.width)};
}

BottleneckScratch make_bottleneck_scratch(const RowBuilders& rows, const ModelSpec& spec, const BottleneckOptions& options,
                                          bool training) {
  BottleneckScratch made;
  made.activated = rows.shard.rows("bottleneck activated", options.width);
  made.dz = rows.shard.rows("d bottleneck", training ? options.width : 0);
  const bool has_branch = training && options.placement == BottleneckPlacement::houlsby;
  made.branch = rows.shard.rows("d sublayer output", has_branch ? spec.hidden : 0);
  return made;
}

/// The other activations of a block.
SavedActivations make_saved(const RowBuilders& rows, const ModelSpec& spec, const AdapterLayout& layout, std::size_t layer,
                            bool all_layers, bool training) {
  const Builder& build = rows.all;
  const std::int64_t out = spec.norm_after ? spec.hidden : 0;
  SavedActivations block;
  block.attention_norm = make_norm(rows.shard, spec, "attention's norm", spec.norm_before);
  block.q = build.rows("q", spec.query_width());
  block.k = build.rows("k", spec.key_width());
  block.v = build.rows("v", spec.key_width());
  const bool normed = spec.head_norm || spec.width_norm;
  block.plain_q = build.rows("plain q", normed ? spec.query_width() : 0);
  block.plain_k = build.rows("plain k", normed ? spec.key_width() : 0);
  block.q_rstd = build.rows_f32("rstd of q", spec.width_norm ? 1 : spec.head_norm ? spec.heads : 0);
  block.k_rstd = build.rows_f32("rstd of k", spec.width_norm ? 1 : spec.head_norm ? spec.kv_heads : 0);
  block.attended = build.rows("attended", spec.query_width());
  block.log_sum_exp = build.rows_f32("log_sum_exp", spec.heads);
  block.attention_out = rows.shard.rows("attention out", out);
  block.attention_out_norm = make_norm(rows.shard, spec, "norm after attention", spec.norm_after);
  block.middle = rows.shard.rows("middle", spec.hidden);
  block.mlp_norm = make_norm(rows.shard, spec, "MLP's norm", spec.norm_before);
  block.gate = build.rows("gate", spec.gated ? spec.intermediate : 0);
  block.up = build.rows("up", spec.intermediate);
  block.mlp_out = rows.shard.rows("mlp out", out);
  block.mlp_out_norm = make_norm(rows.shard, spec, "norm after the MLP", spec.norm_after);
  if (!layout.bottlenecks.all.empty()) {
    block.mlp_bottleneck = make_bottleneck(rows, spec, layout.bottlenecks, training);
    if (layout.bottlenecks.options.placement == BottleneckPlacement::houlsby) {
      block.attention_bottleneck = make_bottleneck(rows, spec, layout.bottlenecks, training);
    }
  }
  for (std::size_t i = 0; i < kLinears; ++i) {
    std::int64_t width = 0;  // a set shared by all layers must fit the largest of them
    std::int64_t output = 0;
    for (std::size_t l = 0; l < layout.blocks.size(); ++l) {
      if (const auto& adapted = layout.blocks[l][i]; adapted && (!all_layers || l == layer)) {
        width = std::max(width, layout.method->linear.saved_width(*adapted));
        output = std::max(output, training ? saved_output_width(*layout.method, *adapted) : 0);
      }
    }
    block.adapter[i] = build.rows("z", width);
    block.adapter_output[i] = build.rows("output of the adapted layer", output);
  }
  return block;
}

BlockGradients make_gradients(const Builder& build, const ModelSpec& spec) {
  BlockGradients gradients;
  gradients.normed = build.rows("d normed", spec.hidden);
  gradients.activated = build.rows("d activated", spec.intermediate);
  gradients.up = build.rows("d up", spec.gated ? spec.intermediate : 0);
  gradients.attended = build.rows("d attended", spec.query_width());
  gradients.q = build.rows("d q", spec.query_width());
  gradients.k = build.rows("d k", spec.key_width());
  gradients.v = build.rows("d v", spec.key_width());
  return gradients;
}

LinearScratch make_scratch(const FrozenBase& base, const AdapterLayout& layout, const WorkspaceOptions& options, Backend backend,
                           Arena& arena) {
  std::int64_t of_method = 0;
  for (const auto& block : layout.blocks) {
    for (const auto& adapted : block) {
      of_method = std::max(of_method, adapted ? layout.method->linear.scratch_elements(*adapted, options.max_tokens) : 0);
    }
  }
  const ModelSpec& spec = base.spec;
  const std::int64_t widest = std::max({spec.hidden, spec.intermediate, spec.query_width()});
  LinearScratch scratch;
  const DType dtype = options.compute_dtype;
  scratch.weight.dtype = dtype;
  if (!dequantizes_ahead(backend, options.micro_batches_in_flight)) {  // else the window dequantizes
    scratch.weight = take(arena, MemoryKind::scratch, "dequantized weight", dtype, base.largest_weight());
    scratch.absmax = arena.take<float>(MemoryKind::scratch, "dequantized absmax", base.most_scales());
  }
  scratch.dropped = take(arena, MemoryKind::scratch, "after dropout", dtype, options.dropout ? options.max_tokens * widest : 0);
  scratch.method = take(arena, MemoryKind::scratch, "scratch of the adapter method", dtype, of_method);
  return scratch;
}

std::span<std::int32_t> take_ids(Arena& arena, const std::string& name, std::int64_t count) {
  return arena.take<std::int32_t>(MemoryKind::scratch, name, count);
}

/// `longer_ropes`: the rotation table has other rows for longer sequences; `token_rows`: some rows of the embedding are trained.
void make_ids(MicroBatchBuffers& buffers, std::int64_t tokens, bool longer_ropes, bool token_rows, Arena& arena) {
  buffers.ids = take_ids(arena, "token ids", tokens);
  buffers.positions = take_ids(arena, "positions", tokens);
  buffers.rope_rows = take_ids(arena, "rows of the rotation table", longer_ropes ? tokens : 0);
  buffers.token_rows = take_ids(arena, "rows of trained tokens", token_rows ? tokens : 0);
  buffers.sample_ids = take_ids(arena, "sample ids", tokens);
  buffers.cu_seqlens = take_ids(arena, "cu_seqlens", tokens + 1);
  buffers.key_cu_seqlens = take_ids(arena, "cu_seqlens of keys", 2);
}

/// TP ranks use equal sizes for the buffers of a shared collective.
void make_logits(Workspace& workspace, const FrozenBase& base, Backend backend, Arena& arena) {
  const TpShard& tp = base.tp;
  const std::int64_t elements = backend == Backend::cuda ? kLogitsElementsCuda : kLogitsElements;
  const std::int64_t widest = tp.is_whole() ? base.spec.vocab : tp.widest_vocab;
  std::int64_t rows = std::max(kLeastLogitsRows, elements / widest);
  if (backend == Backend::cuda && rows > kLogitsTile) {
    rows -= rows % kLogitsTile;  // a product's last tile costs as much as a full one
  }
  workspace.logits_rows = std::min(workspace.max_tokens, rows);
  const std::int64_t at_a_time = base.head_by_chunks() ? base.head.most_rows() : base.spec.vocab;
  const std::int64_t count = std::max(workspace.logits_rows * at_a_time, base.spec.vocab);  // a generated token needs all at once
  workspace.logits = arena.take<float>(MemoryKind::logits_chunk, "logits", count);
  const DType dtype = workspace.compute_dtype;
  workspace.logits_gradient = dtype == DType::f32
                                  ? workspace.logits.data()
                                  : take(arena, MemoryKind::logits_chunk, "gradient of logits", dtype, count).data;
  workspace.argmax = take_ids(arena, "most probable ids", workspace.max_tokens);
  if (!tp.is_whole()) {
    workspace.next_logits = arena.take_zeroed<float>(MemoryKind::logits_chunk, "logits of a token", tp.widest_vocab);
    workspace.all_next_logits =
        arena.take<float>(MemoryKind::logits_chunk, "logits of a token, of all parts", tp.widest_vocab * tp.ranks);
  }
}

/// `workspace`: with its gradients and logits. With one micro-batch, the head's gradient is summed in a buffer of the blocks.
HeadBuffers make_head(const Workspace& workspace, const FrozenBase& base, const WorkspaceOptions& options, const Builder& build) {
  Arena& arena = build.arena;
  HeadBuffers head;
  head.index = take_ids(arena, "index of targets", options.max_tokens);
  head.targets = take_ids(arena, "targets", options.max_tokens);
  head.picked = build.rows("picked", base.spec.hidden);
  head.normed = build.rows("picked normed", base.spec.hidden);
  head.norm = make_norm(build, base.spec, "picked");
  head.token_loss = build.rows_f32("token loss", 1);
  const std::int64_t numbers = base.head.chunks * workspace.max_tokens * kSoftmaxNumbers;
  if (base.head.chunks > 1 || !base.tp.is_whole()) {
    head.softmax_numbers = arena.take<float>(MemoryKind::logits_chunk, "softmax of chunks", numbers);
  }
  if (!base.tp.is_whole()) {
    head.all_softmax_numbers = arena.take<float>(MemoryKind::logits_chunk, "softmax of all parts", numbers * base.tp.ranks);
  }
  if (options.training && base.head.chunks > 1) {
    const bool alone = options.micro_batches_in_flight == 1;
    const Builder sums{arena, base.head_by_chunks() ? options.max_tokens : workspace.logits_rows, DType::f32};
    const bool summed_at_once = !base.head_by_chunks() && !workspace.in_flight.empty();  // before the next micro-batch
    head.gradient = summed_at_once                                 ? workspace.in_flight.front().head.gradient
                    : options.compute_dtype == DType::f32 && alone ? workspace.gradients.normed
                                                                   : sums.rows_f32("gradient of picked", base.spec.hidden);
  }
  return head;
}

std::int64_t widest_fused(const ModelSpec& spec) {
  return std::max(spec.fused_qkv ? spec.query_width() + 2 * spec.key_width() : 0, spec.fused_gate_up ? 2 * spec.intermediate : 0);
}

/// The buffers of one micro-batch; the others share buffers of the first one that are not read after a block.
MicroBatchBuffers make_micro_batch(const Workspace& workspace, const FrozenBase& base, const AdapterLayout& layout,
                                   const WorkspaceOptions& options, const RowBuilders& rows) {
  const ModelSpec& spec = base.spec;
  const bool keep_all = options.training && options.recompute != Recompute::block;
  const MicroBatchBuffers* const first = workspace.in_flight.empty() ? nullptr : workspace.in_flight.data();
  MicroBatchBuffers made;
  for (std::int64_t i = 0; i < (options.training ? spec.layers + 1 : 2); ++i) {
    made.hidden.push_back(rows.shard.rows("hidden", spec.hidden));
  }
  if (options.training) {
    made.hidden_gradient = rows.shard.rows("d hidden", spec.hidden);
  }
  if (first != nullptr && !keep_all) {
    made.saved = first->saved;
  } else {
    for (std::int64_t i = 0; i < (keep_all ? spec.layers : 1); ++i) {
      SavedActivations block = make_saved(rows, spec, layout, static_cast<std::size_t>(i), keep_all, options.training);
      const SavedActivations* const sharing = first != nullptr ? first->saved.data() : i > 0 ? made.saved.data() : nullptr;
      if (sharing == nullptr || options.recompute == Recompute::none) {
        make_cheap(rows.all, spec, block);
      } else {
        block.normed_in = sharing->normed_in;
        block.normed_middle = sharing->normed_middle;
        block.activated = sharing->activated;
      }
      block.fused = sharing == nullptr ? rows.all.rows("fused projections", widest_fused(spec)) : sharing->fused;
      block.qk_sums = sharing == nullptr ? rows.all.rows_f32("sums of q and k", spec.width_norm ? 2 : 0) : sharing->qk_sums;
      made.saved.push_back(block);
    }
  }
  made.head = make_head(workspace, base, options, rows.all);
  const bool longer_ropes = rope_table_rows(spec.rope, options.max_positions) > options.max_positions;
  make_ids(made, options.max_tokens, longer_ropes, trains_token_rows(layout), rows.all.arena);
  return made;
}

void make_norms(Workspace& workspace, const ModelSpec& spec, const AdapterLayout& layout, Arena& arena, const Stream& stream) {
  if (layout.norms.empty() && layout.vectors.empty()) {
    return;
  }
  workspace.norms = arena.take<float>(MemoryKind::adapters, "norms as they are applied", layout.norms_count());
  if (spec.norm_adds_one) {
    workspace.ones = arena.take<float>(MemoryKind::scratch, "ones", spec.hidden);
    if (arena.holds_memory()) {
      const std::vector<float> ones(static_cast<std::size_t>(spec.hidden), 1.0F);
      from_host(view(std::span(ones)), view(workspace.ones), stream);
    }
  }
}

/// Buffers of the head's trained tokens, if it has some.
void make_token_logits(Workspace& workspace, const AdapterLayout& layout, bool training, Arena& arena, const Stream& stream) {
  const TrainedTable* const head = find_table(layout.tables, TableSite::head);
  if (head == nullptr || head->is_whole()) {
    return;
  }
  TokenLogits& of_tokens = workspace.token_logits;
  const std::int64_t count = workspace.logits_rows * std::ssize(head->ids);
  of_tokens.ids = take_ids(arena, "ids of trained tokens", std::ssize(head->ids));
  of_tokens.logits = arena.take<float>(MemoryKind::logits_chunk, "logits of trained tokens", count);
  if (training) {
    of_tokens.gradient =
        take(arena, MemoryKind::logits_chunk, "gradient of logits of trained tokens", workspace.compute_dtype, count);
  }
  if (arena.holds_memory()) {
    from_host(view(std::span(head->ids)), view(of_tokens.ids), stream);
  }
}

/// `make`: makes the table's values.
template <class Make>
RopeTable take_rope_table(const std::string& name, std::int64_t rows, std::int64_t width, Arena& arena, const Stream& stream,
                          Make make) {
  const RopeTable made{arena.take<float>(MemoryKind::scratch, name, rows * width), rows};
  if (arena.holds_memory()) {
    const std::vector<float> table = make();
    from_host(view(std::span(table)), view(made.values), stream);
  }
  return made;
}

void make_ropes(Workspace& workspace, const ModelSpec& spec, std::int64_t positions, Arena& arena, const Stream& stream) {
  const auto take_table = [&](const std::string& name, const RopeConfig& rope, auto make) {
    return take_rope_table(name, rope_table_rows(rope, positions), spec.rotary_width(), arena, stream, make);
  };
  workspace.rope_positions = positions;
  workspace.rope = take_table("rotation table", spec.rope, [&] { return make_rope_table(spec, positions); });
  if (spec.rope.query_growth > 0.0 && positions > spec.rope.original_positions) {
    workspace.query_rope =
        take_table("rotation table of queries", spec.rope, [&] { return make_query_rope_table(spec, positions); });
  }
  if (spec.window_rope) {
    workspace.window_rope = take_table("rotation table of windows", *spec.window_rope,
                                       [&] { return make_rope_table(spec, *spec.window_rope, positions); });
  }
}

}  // namespace

Workspace make_workspace(const FrozenBase& base, const AdapterLayout& layout, const WorkspaceOptions& options, Arena& arena,
                         const Stream& stream) {
  const RowBuilders rows = row_builders(base, options, arena);
  Workspace workspace;
  workspace.max_tokens = options.max_tokens;
  workspace.recompute = options.recompute;
  workspace.piece_tokens = options.piece_tokens;
  workspace.compute_dtype = options.compute_dtype;
  workspace.gathered = rows.all.rows("rows of all tensor ranks", rows.all.sequence_parallel ? base.spec.hidden : 0);
  if (options.training) {
    workspace.gradients = make_gradients(rows.all, base.spec);
  }
  make_logits(workspace, base, stream.backend, arena);
  for (int i = 0; i < options.micro_batches_in_flight; ++i) {
    workspace.in_flight.push_back(make_micro_batch(workspace, base, layout, options, rows));
  }
  workspace.scratch = make_scratch(base, layout, options, stream.backend, arena);
  if (options.compute_dtype != DType::f32) {
    workspace.params = take(arena, MemoryKind::adapters, "factors in the compute dtype", options.compute_dtype, layout.count);
    if (uses_residual(layout.init)) {
      workspace.initial =
          take(arena, MemoryKind::adapters, "initial factors in the compute dtype", options.compute_dtype, layout.count);
    }
  }
  make_norms(workspace, base.spec, layout, arena, stream);
  make_token_logits(workspace, layout, options.training, arena, stream);
  if (layout.frozen_count > 0) {
    workspace.frozen = take(arena, MemoryKind::adapters, "frozen projections", options.compute_dtype, layout.frozen_count);
  }
  if (!layout.bottlenecks.all.empty()) {
    workspace.bottleneck = make_bottleneck_scratch(rows, base.spec, layout.bottlenecks.options, options.training);
    const DType dtype = options.compute_dtype;
    workspace.bottleneck.bias = {take(arena, MemoryKind::scratch, "bias of a bottleneck", dtype, base.spec.hidden).data, 1,
                                 dtype};
  }
  make_ropes(workspace, base.spec, options.max_positions, arena, stream);
  take_operator_scratch(base.spec, workspace, options.longest, options.training, arena, stream);
  return workspace;
}

KvCache make_kv_cache(const ModelSpec& spec, std::int64_t capacity, Arena& arena, DType dtype) {
  KvCache cache;
  cache.capacity = capacity;
  const Builder build{arena, capacity, dtype};
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    cache.k.push_back(build.rows("cached k", spec.key_width()));
    cache.v.push_back(build.rows("cached v", spec.key_width()));
  }
  return cache;
}

}  // namespace lora_dist

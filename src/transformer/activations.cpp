// Sizes and takes the buffers of a pass.
#include "src/transformer/activations.h"

#include <algorithm>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/elementwise/copy.h"
#include "src/transformer/operator_scratch.h"

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
  bool divided = false;  // hidden states are those of this rank's own rows

  RowBuffer kept(const std::string& name, std::int64_t width) const {
    return {take(arena, MemoryKind::activations, name, dtype, tokens * width).data, width, dtype};
  }
  /// What stays f32 whatever the compute dtype is.
  RowBuffer kept_f32(const std::string& name, std::int64_t width) const {
    return {arena.take<float>(MemoryKind::activations, name, tokens * width).data(), width};
  }
};

/// For the tokens that this rank keeps, and for as many of every rank.
struct RowBuilders {
  Builder own;
  Builder all;
};

RowBuilders row_builders(const FrozenBase& base, const WorkspaceOptions& options, Arena& arena) {
  const int ranks = base.part.ranks;
  const bool divided = options.sequence_parallel && ranks > 1;
  const std::int64_t own = divided ? own_rows(options.max_tokens, ranks) : options.max_tokens;
  const std::int64_t all = divided ? own * ranks : options.max_tokens;
  return {{arena, own, options.compute_dtype, divided}, {arena, all, options.compute_dtype, divided}};
}

NormBuffers make_norm(const Builder& build, const ModelSpec& spec, const std::string& name) {
  return {build.kept_f32("mean of " + name, spec.norm == Norm::layer ? 1 : 0), build.kept_f32("rstd of " + name, 1)};
}

/// What recompute = selective computes again, so that one set serves all blocks.
void make_cheap(const Builder& build, const ModelSpec& spec, BlockActivations& block) {
  const std::int64_t normed = spec.norm_place == NormPlace::before || build.divided ? spec.hidden : 0;
  block.normed_in = build.kept("normed_in", normed);
  block.normed_middle = build.kept("normed_middle", spec.hidden);
  block.activated = build.kept("activated", spec.intermediate);
}

/// The rest of a block's results.
BlockActivations make_block(const RowBuilders& rows, const ModelSpec& spec, const AdapterLayout& layout, std::size_t layer,
                            bool all_layers) {
  const Builder& build = rows.all;
  const std::int64_t out = spec.norm_place == NormPlace::after ? spec.hidden : 0;
  BlockActivations block;
  block.attention_norm = make_norm(rows.own, spec, "attention's norm");
  block.q = build.kept("q", spec.query_width());
  block.k = build.kept("k", spec.key_width());
  block.v = build.kept("v", spec.key_width());
  block.plain_q = build.kept("plain q", spec.head_norm ? spec.query_width() : 0);
  block.plain_k = build.kept("plain k", spec.head_norm ? spec.key_width() : 0);
  block.q_rstd = build.kept_f32("rstd of q", spec.head_norm ? spec.heads : 0);
  block.k_rstd = build.kept_f32("rstd of k", spec.head_norm ? spec.kv_heads : 0);
  block.attended = build.kept("attended", spec.query_width());
  block.log_sum_exp = build.kept_f32("log_sum_exp", spec.heads);
  block.attention_out = rows.own.kept("attention out", out);
  block.middle = rows.own.kept("middle", spec.hidden);
  block.mlp_norm = make_norm(rows.own, spec, "MLP's norm");
  block.gate = build.kept("gate", spec.gated ? spec.intermediate : 0);
  block.up = build.kept("up", spec.intermediate);
  block.mlp_out = rows.own.kept("mlp out", out);
  for (std::size_t i = 0; i < kLinears; ++i) {
    std::int64_t r = 0;  // a set shared by all layers must fit the largest of them
    for (std::size_t l = 0; l < layout.blocks.size(); ++l) {
      if (const auto& place = layout.blocks[l][i]; place && (!all_layers || l == layer)) {
        r = std::max(r, place->r);
      }
    }
    block.z[i] = build.kept("z", r);
  }
  return block;
}

BlockGradients make_gradients(const RowBuilders& rows, const ModelSpec& spec) {
  const Builder& build = rows.all;
  BlockGradients gradients;
  gradients.hidden = rows.own.kept("d hidden", spec.hidden);
  gradients.normed = build.kept("d normed", spec.hidden);
  gradients.activated = build.kept("d activated", spec.intermediate);
  gradients.up = build.kept("d up", spec.gated ? spec.intermediate : 0);
  gradients.attended = build.kept("d attended", spec.query_width());
  gradients.q = build.kept("d q", spec.query_width());
  gradients.k = build.kept("d k", spec.key_width());
  gradients.v = build.kept("d v", spec.key_width());
  return gradients;
}

LinearScratch make_scratch(const FrozenBase& base, const AdapterLayout& layout, const WorkspaceOptions& options, Backend backend,
                           Arena& arena) {
  std::int64_t largest_r = 0;
  for (const auto& block : layout.blocks) {
    for (const auto& place : block) {
      largest_r = std::max(largest_r, place ? place->r : 0);
    }
  }
  const ModelSpec& spec = base.spec;
  const std::int64_t widest = std::max({spec.hidden, spec.intermediate, spec.query_width()});
  LinearScratch scratch;
  const DType dtype = options.compute_dtype;
  scratch.weight.dtype = dtype;
  if (backend == Backend::cpu) {  // a GPU's window dequantizes whole blocks ahead
    scratch.weight = take(arena, MemoryKind::scratch, "dequantized weight", dtype, base.largest_weight());
    scratch.absmax = arena.take<float>(MemoryKind::scratch, "dequantized absmax", base.most_scales());
  }
  scratch.dropped = take(arena, MemoryKind::scratch, "after dropout", dtype, options.dropout ? options.max_tokens * widest : 0);
  scratch.dz = take(arena, MemoryKind::scratch, "dz", dtype, options.max_tokens * largest_r);
  return scratch;
}

PassBuffers make_pass_buffers(std::int64_t tokens, Arena& arena) {
  const auto ids = [&](const std::string& name, std::int64_t count) {
    return arena.take<std::int32_t>(MemoryKind::scratch, name, count);
  };
  PassBuffers pass;
  pass.ids = ids("token ids", tokens);
  pass.positions = ids("positions", tokens);
  pass.samples = ids("sample ids", tokens);
  pass.starts = ids("starts of segments", tokens + 1);
  pass.key_starts = ids("starts of keys", 2);
  pass.index = ids("index of targets", tokens);
  pass.targets = ids("targets", tokens);
  pass.argmax = ids("most probable ids", tokens);
  return pass;
}

/// Sizes are the same on every tensor rank where they share a collective.
void make_logits(Workspace& workspace, const FrozenBase& base, Backend backend, Arena& arena) {
  const TensorPart& part = base.part;
  const std::int64_t elements = backend == Backend::cuda ? kLogitsElementsCuda : kLogitsElements;
  const std::int64_t widest = part.is_whole() ? base.spec.vocab : part.widest_vocab;
  std::int64_t rows = std::max(kLeastLogitsRows, elements / widest);
  if (backend == Backend::cuda && rows > kLogitsTile) {
    rows -= rows % kLogitsTile;  // a product's last tile costs as much as a full one
  }
  workspace.logits_rows = std::min(workspace.max_tokens, rows);
  const std::int64_t at_a_time = base.head.gathers() ? base.head.most_rows() : base.spec.vocab;
  const std::int64_t count = std::max(workspace.logits_rows * at_a_time, base.spec.vocab);  // a generated token has all at once
  workspace.logits = arena.take<float>(MemoryKind::logits_chunk, "logits", count);
  const DType dtype = workspace.compute_dtype;
  workspace.logits_gradient = dtype == DType::f32
                                  ? workspace.logits.data()
                                  : take(arena, MemoryKind::logits_chunk, "gradient of logits", dtype, count).data;
  const std::int64_t numbers = base.head.chunks * workspace.max_tokens * kSoftmaxNumbers;
  if (base.head.chunks > 1 || !part.is_whole()) {
    workspace.softmax_numbers = arena.take<float>(MemoryKind::logits_chunk, "softmax of chunks", numbers);
  }
  if (!part.is_whole()) {
    workspace.all_softmax_numbers = arena.take<float>(MemoryKind::logits_chunk, "softmax of all parts", numbers * part.ranks);
    workspace.next_logits = arena.take_zeroed<float>(MemoryKind::logits_chunk, "logits of a token", part.widest_vocab);
    workspace.all_next_logits =
        arena.take<float>(MemoryKind::logits_chunk, "logits of a token, of all parts", part.widest_vocab * part.ranks);
  }
}

void make_rope(Workspace& workspace, const ModelSpec& spec, std::int64_t positions, Arena& arena, const Stream& stream) {
  workspace.rope_positions = positions;
  workspace.rope_table = arena.take<float>(MemoryKind::scratch, "rotation table", positions * spec.rotary_width());
  if (arena.holds_memory()) {
    const std::vector<float> table = make_rope_table(spec, positions);
    from_host(view(std::span(table)), view(workspace.rope_table), stream);
  }
}

}  // namespace

Workspace make_workspace(const FrozenBase& base, const AdapterLayout& layout, const WorkspaceOptions& options, Arena& arena,
                         const Stream& stream) {
  const ModelSpec& spec = base.spec;
  const RowBuilders rows = row_builders(base, options, arena);
  const Builder& build = rows.all;
  const bool keep_all = options.training && options.recompute != Recompute::block;
  Workspace workspace;
  workspace.max_tokens = options.max_tokens;
  workspace.recompute = options.recompute;
  workspace.piece_tokens = options.piece_tokens;
  workspace.compute_dtype = options.compute_dtype;
  for (std::int64_t i = 0; i < (options.training ? spec.layers + 1 : 2); ++i) {
    workspace.hidden.push_back(rows.own.kept("hidden", spec.hidden));
  }
  workspace.all_rows = build.kept("rows of all tensor ranks", build.divided ? spec.hidden : 0);
  for (std::int64_t i = 0; i < (keep_all ? spec.layers : 1); ++i) {
    BlockActivations block = make_block(rows, spec, layout, static_cast<std::size_t>(i), keep_all);
    if (i == 0 || options.recompute == Recompute::none) {
      make_cheap(build, spec, block);
    } else {
      block.normed_in = workspace.blocks[0].normed_in;
      block.normed_middle = workspace.blocks[0].normed_middle;
      block.activated = workspace.blocks[0].activated;
    }
    block.qkv =
        i == 0 ? build.kept("qkv", spec.fused_qkv ? spec.query_width() + 2 * spec.key_width() : 0) : workspace.blocks[0].qkv;
    workspace.blocks.push_back(block);
  }
  if (options.training) {
    workspace.gradients = make_gradients(rows, spec);
  }
  workspace.scratch = make_scratch(base, layout, options, stream.backend, arena);
  workspace.picked = build.kept("picked", spec.hidden);
  workspace.picked_normed = build.kept("picked normed", spec.hidden);
  workspace.picked_norm = make_norm(build, spec, "picked");
  workspace.token_loss = build.kept_f32("token loss", 1);
  make_logits(workspace, base, stream.backend, arena);
  if (options.training && base.head.chunks > 1) {
    const Builder sums{arena, base.head.gathers() ? options.max_tokens : workspace.logits_rows, DType::f32};
    workspace.head_gradient =
        options.compute_dtype == DType::f32 ? workspace.gradients.normed : sums.kept_f32("gradient of picked", spec.hidden);
  }
  workspace.pass = make_pass_buffers(options.max_tokens, arena);
  if (options.compute_dtype != DType::f32) {
    workspace.factors = take(arena, MemoryKind::adapters, "factors in the compute dtype", options.compute_dtype, layout.count);
  }
  make_rope(workspace, spec, options.max_positions, arena, stream);
  take_operator_scratch(spec, workspace, options.longest, options.training, arena, stream);
  return workspace;
}

KvCache make_kv_cache(const ModelSpec& spec, std::int64_t capacity, Arena& arena, DType dtype) {
  KvCache cache;
  cache.capacity = capacity;
  const Builder build{arena, capacity, dtype};
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    cache.k.push_back(build.kept("cached k", spec.key_width()));
    cache.v.push_back(build.kept("cached v", spec.key_width()));
  }
  return cache;
}

}  // namespace lora_dist

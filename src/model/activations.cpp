// Sizes and takes the buffers of a pass.
#include "src/model/activations.h"

#include <algorithm>

namespace lora_dist {

namespace {

constexpr std::int64_t kLogitsElements = std::int64_t{1} << 23;  // 32 MiB of logits at a time
constexpr std::int64_t kLeastLogitsRows = 16;

struct Builder {
  Arena& arena;
  std::int64_t tokens;

  RowBuffer rows(MemoryKind kind, const std::string& name, std::int64_t width) const {
    return {arena.take<float>(kind, name, tokens * width).data(), width};
  }
  RowBuffer kept(const std::string& name, std::int64_t width) const { return rows(MemoryKind::activations, name, width); }
};

BlockActivations make_block(const Builder& build, const ModelSpec& spec, const AdapterLayout& layout, std::size_t layer,
                            bool all_layers) {
  BlockActivations block;
  block.normed_in = build.kept("normed_in", spec.hidden);
  block.rstd_in = build.kept("rstd_in", 1);
  block.q = build.kept("q", spec.query_width());
  block.k = build.kept("k", spec.key_width());
  block.v = build.kept("v", spec.key_width());
  block.attended = build.kept("attended", spec.query_width());
  block.log_sum_exp = build.kept("log_sum_exp", spec.heads);
  block.middle = build.kept("middle", spec.hidden);
  block.normed_middle = build.kept("normed_middle", spec.hidden);
  block.rstd_middle = build.kept("rstd_middle", 1);
  block.gate = build.kept("gate", spec.intermediate);
  block.up = build.kept("up", spec.intermediate);
  block.activated = build.kept("activated", spec.intermediate);
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

BlockGradients make_gradients(const Builder& build, const ModelSpec& spec) {
  BlockGradients gradients;
  gradients.hidden = build.kept("d hidden", spec.hidden);
  gradients.normed = build.kept("d normed", spec.hidden);
  gradients.activated = build.kept("d activated", spec.intermediate);
  gradients.up = build.kept("d up", spec.intermediate);
  gradients.attended = build.kept("d attended", spec.query_width());
  gradients.q = build.kept("d q", spec.query_width());
  gradients.k = build.kept("d k", spec.key_width());
  gradients.v = build.kept("d v", spec.key_width());
  return gradients;
}

LinearScratch make_scratch(const FrozenBase& base, const AdapterLayout& layout, const WorkspaceOptions& options, Arena& arena) {
  std::int64_t largest_r = 0;
  for (const auto& block : layout.blocks) {
    for (const auto& place : block) {
      largest_r = std::max(largest_r, place ? place->r : 0);
    }
  }
  const ModelSpec& spec = base.spec;
  const std::int64_t widest = std::max({spec.hidden, spec.intermediate, spec.query_width()});
  LinearScratch scratch;
  scratch.weight = arena.take<float>(MemoryKind::scratch, "dequantized weight", base.largest_weight());
  scratch.absmax = arena.take<float>(MemoryKind::scratch, "dequantized absmax",
                                     (base.largest_weight() + base.format.block_size - 1) / base.format.block_size);
  scratch.dropped = arena.take<float>(MemoryKind::scratch, "after dropout", options.dropout ? options.max_tokens * widest : 0);
  scratch.dz = arena.take<float>(MemoryKind::scratch, "dz", options.max_tokens * largest_r);
  return scratch;
}

}  // namespace

Workspace make_workspace(const FrozenBase& base, const AdapterLayout& layout, const WorkspaceOptions& options, Arena& arena) {
  const ModelSpec& spec = base.spec;
  const Builder build{arena, options.max_tokens};
  const bool keep_all = options.training && options.recompute == Recompute::none;
  Workspace workspace;
  workspace.max_tokens = options.max_tokens;
  for (std::int64_t i = 0; i < (options.training ? spec.layers + 1 : 2); ++i) {
    workspace.hidden.push_back(build.kept("hidden", spec.hidden));
  }
  for (std::int64_t i = 0; i < (keep_all ? spec.layers : 1); ++i) {
    workspace.blocks.push_back(make_block(build, spec, layout, static_cast<std::size_t>(i), keep_all));
  }
  if (options.training) {
    workspace.gradients = make_gradients(build, spec);
  }
  workspace.scratch = make_scratch(base, layout, options, arena);
  workspace.picked = build.kept("picked", spec.hidden);
  workspace.picked_normed = build.kept("picked normed", spec.hidden);
  workspace.picked_rstd = build.kept("picked rstd", 1);
  workspace.token_loss = build.kept("token loss", 1);
  workspace.logits_rows = std::min(options.max_tokens, std::max(kLeastLogitsRows, kLogitsElements / spec.vocab));
  workspace.logits = arena.take<float>(MemoryKind::logits_chunk, "logits", workspace.logits_rows * spec.vocab);
  workspace.index = arena.take<std::int32_t>(MemoryKind::scratch, "index of targets", options.max_tokens);
  workspace.rope_positions = options.max_positions;
  workspace.rope_table = make_rope_table(spec, options.max_positions);
  return workspace;
}

KvCache make_kv_cache(const ModelSpec& spec, std::int64_t capacity, Arena& arena) {
  KvCache cache;
  cache.capacity = capacity;
  const Builder build{arena, capacity};
  for (std::int64_t layer = 0; layer < spec.layers; ++layer) {
    cache.k.push_back(build.rows(MemoryKind::activations, "cached k", spec.key_width()));
    cache.v.push_back(build.rows(MemoryKind::activations, "cached v", spec.key_width()));
  }
  return cache;
}

}  // namespace lora_dist

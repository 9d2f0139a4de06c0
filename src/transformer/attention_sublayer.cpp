// The operator calls of the attention sublayer, forward and backward.
#include "src/transformer/attention_sublayer.h"

#include <cmath>

#include "kernels/attention/attention.h"
#include "kernels/elementwise/copy.h"
#include "kernels/fused_parts/fused_parts.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rms_norm/rms_norm_shared.h"
#include "kernels/rope/rope.h"
#include "src/transformer/base_gradients.h"
#include "src/transformer/virtual_tokens.h"

namespace lora_dist {

namespace {

AttentionShape attention_shape(const BlockContext& block) {
  const ModelSpec& spec = block.spec();
  const LayerSpec layer = spec.layer(block.layer);
  AttentionShape shape;
  shape.heads = static_cast<int>(spec.heads);
  shape.kv_heads = static_cast<int>(spec.kv_heads);
  shape.head_dim = static_cast<int>(spec.head_dim);
  shape.scale = layer.score_scale / std::sqrt(static_cast<float>(spec.head_dim));
  shape.longest = block.batch.longest;
  shape.window = static_cast<int>(layer.window);
  shape.soft_cap = spec.score_cap;
  return shape;
}

/// A row per head of each token.
TensorView by_head(const TensorView& x, std::int64_t head_dim) {
  return {x.data, x.dtype, {x.rows() * x.cols() / head_dim, head_dim}};
}
TensorView flat(const TensorView& x) { return {x.data, x.dtype, {x.shape.count()}}; }

/// q, k and v, or their gradients: [tokens, heads * head_dim] each.
struct Qkv {
  TensorView q;
  TensorView k;
  TensorView v;
};

/// As inputs of attention.
Qkv attention_input(const BlockContext& block) {
  const SavedActivations& saved = block.saved();
  const std::int64_t n = block.tp.tokens;
  return {saved.q.rows(n), saved.k.rows(n), saved.v.rows(n)};
}

/// As outputs of the projections: before the norm of heads.
Qkv projected(const BlockContext& block) {
  const SavedActivations& saved = block.saved();
  const std::int64_t n = block.tp.tokens;
  return block.spec().head_norm || block.spec().width_norm ? Qkv{saved.plain_q.rows(n), saved.plain_k.rows(n), saved.v.rows(n)}
                                                           : attention_input(block);
}

Qkv gradients_of(const BlockContext& block) {
  const BlockGradients& gradients = block.gradients();
  const std::int64_t n = block.tp.tokens;
  return {gradients.q.rows(n), gradients.k.rows(n), gradients.v.rows(n)};
}

void norm_each_head(const BlockContext& block, const NormWeights& weights, const TensorView& plain, const TensorView& normed,
                    const TensorView& rstd) {
  const std::int64_t d = block.spec().head_dim;
  rms_norm(by_head(plain, d), view(weights.weight), block.spec().norm_eps, by_head(normed, d), flat(rstd), block.stream());
}

/// dx: gradient of the normed heads, then of the plain ones. `room`: scratch at least as large as dx.
void norm_each_head_backward(const BlockContext& block, VectorSite site, const TensorView& dx, const TensorView& plain,
                             const TensorView& rstd, const TensorView& room) {
  const std::int64_t d = block.spec().head_dim;
  const NormWeights& weights = site == VectorSite::q_norm ? block.rest().q_norm : block.rest().k_norm;
  add_head_norm_gradient(block, site, by_head(dx, d), by_head(plain, d), flat(rstd));
  const TensorView sum{room.data, room.dtype, dx.shape};
  zero(sum, block.stream());
  rms_norm_backward(by_head(dx, d), by_head(plain, d), view(weights.weight), flat(rstd), by_head(sum, d), block.stream());
  copy(sum, dx, block.stream());
}

/// Two numbers per token for norms of all heads together: first [tokens] of q, then of k. The ranks add them.
struct SharedSums {
  TensorView both;
  TensorView q;
  TensorView k;
};
SharedSums shared_sums(const BlockContext& block) {
  const std::int64_t n = block.tp.tokens;
  auto* const data = static_cast<float*>(block.saved().qk_sums.data);
  return {view(data, {2, n}), view(data, {n}), view(data + n, {n})};
}

/// Several ranks may have a kv head: sums over all ranks count it on the first of them.
void count_keys_once(const BlockContext& block, const TensorView& of_k) {
  if (!block.model.base->tp.first_of_kv_heads) {
    zero(of_k, block.stream());
  }
}

/// Columns of whole rows of q, and of k.
std::int64_t whole_width(const BlockContext& block, bool of_queries) {
  const TpShard& tp = block.model.base->tp;
  const std::int64_t heads = of_queries ? tp.whole_heads : tp.whole_kv_heads;
  return heads * block.spec().head_dim;
}

void norm_whole_width(const BlockContext& block) {
  const SavedActivations& saved = block.saved();
  const Qkv plain = projected(block);
  const Qkv normed = attention_input(block);
  const SharedSums sums = shared_sums(block);
  square_sums(plain.q, sums.q, block.stream());
  square_sums(plain.k, sums.k, block.stream());
  count_keys_once(block, sums.k);
  all_reduce_rows(block.tp, sums.both);
  const auto norm_part = [&](ConstTensorView x, const NormWeights& weights, const TensorView& of, std::int64_t width,
                             TensorView y, const RowBuffer& rstd) {
    rms_norm_shared({.x = x,
                     .weight = view(weights.weight),
                     .sums = of,
                     .width = width,
                     .eps = block.spec().norm_eps,
                     .y = y,
                     .rstd = rstd.column(block.tp.tokens)},
                    block.stream());
  };
  norm_part(plain.q, block.rest().q_norm, sums.q, whole_width(block, true), normed.q, saved.q_rstd);
  norm_part(plain.k, block.rest().k_norm, sums.k, whole_width(block, false), normed.k, saved.k_rstd);
}

void norm_whole_width_backward(const BlockContext& block) {
  const SavedActivations& saved = block.saved();
  const Qkv plain = projected(block);
  const auto [dq, dk, dv] = gradients_of(block);
  const SharedSums dots = shared_sums(block);
  rms_norm_dots(dq, plain.q, view(block.rest().q_norm.weight), dots.q, block.stream());
  rms_norm_dots(dk, plain.k, view(block.rest().k_norm.weight), dots.k, block.stream());
  all_reduce_rows(block.tp, dots.both);
  count_keys_once(block, dots.k);  // a rank's dk is that of its queries: only one of them takes away what lies along k
  add_head_norm_gradient(block, VectorSite::q_norm, dq, plain.q, saved.q_rstd.column(block.tp.tokens));
  add_head_norm_gradient(block, VectorSite::k_norm, dk, plain.k, saved.k_rstd.column(block.tp.tokens));
  const auto backward = [&](TensorView dx, ConstTensorView x, const NormWeights& weights, const TensorView& of,
                            std::int64_t width, const RowBuffer& rstd) {
    rms_norm_shared_backward({.dy = dx,
                              .x = x,
                              .weight = view(weights.weight),
                              .rstd = rstd.column(block.tp.tokens),
                              .dots = of,
                              .width = width,
                              .dx = dx},
                             block.stream());
  };
  backward(dq, plain.q, block.rest().q_norm, dots.q, whole_width(block, true), saved.q_rstd);
  backward(dk, plain.k, block.rest().k_norm, dots.k, whole_width(block, false), saved.k_rstd);
}

void rotate_qk(const BlockContext& block, const Qkv& qkv, RopeDirection direction) {
  const ModelSpec& spec = block.spec();
  const LayerSpec layer = spec.layer(block.layer);
  if (spec.learned_positions || !layer.rotary) {
    return;
  }
  const Workspace& workspace = *block.model.workspace;
  const bool of_window = layer.window > 0 && spec.window_rope;
  const RopeTable& table = of_window ? workspace.window_rope : workspace.rope;
  const ConstTensorView& rows = of_window ? block.batch.positions : block.batch.rope_rows;
  const auto angles = [&](const RopeTable& of) {
    return view(static_cast<const float*>(of.values.data()), {of.rows, spec.rotary_width()});
  };
  const bool queries_grow = !of_window && !workspace.query_rope.values.empty();
  const RopeHeads heads{spec.head_dim, spec.rope_pairs};
  rope(qkv.q, rows, angles(queries_grow ? workspace.query_rope : table), heads, direction, block.stream());
  rope(qkv.k, rows, angles(table), heads, direction, block.stream());
}

std::int64_t groups_of_qkv(const ModelSpec& spec) { return spec.fused_qkv == FusedQkv::per_head ? spec.heads : 1; }

/// Appends this call's keys and values to the cache, and returns the whole cache.
Qkv append_to_cache(const BlockContext& block, const Qkv& added) {
  KvCache& cache = *block.model.cache;
  const auto layer = static_cast<std::size_t>(block.layer);
  const std::int64_t keys = cache.length + added.q.rows();
  require(keys <= cache.capacity, "the key-value cache is full");
  copy(added.k, cache.k[layer].rows_from(cache.length, added.k.rows()), block.stream());
  copy(added.v, cache.v[layer].rows_from(cache.length, added.v.rows()), block.stream());
  return {added.q, cache.k[layer].rows(keys), cache.v[layer].rows(keys)};
}

}  // namespace

Sublayer attention_sublayer(const BlockContext& block) {
  const SavedActivations& saved = block.saved();
  Sublayer sublayer;
  sublayer.before = sublayer_norm(block, NormSite::attention, saved.attention_norm);
  sublayer.after = sublayer_norm(block, NormSite::attention_out, saved.attention_out_norm);
  sublayer.bottleneck = sublayer_bottleneck(block, BottleneckSite::attention, saved.attention_bottleneck);
  sublayer.branch = sublayer.residual = block.hidden();
  sublayer.input = saved.normed_in;
  sublayer.out_linear = Linear::o;
  sublayer.out_input = saved.attended.rows(block.tp.tokens);
  sublayer.out_gradient = block.gradients().attended.rows(block.tp.tokens);
  sublayer.plain_output = saved.attention_out;
  sublayer.output = saved.middle.rows(block.tp.shard_tokens());
  return sublayer;
}

void project_qkv(const BlockContext& block, ConstTensorView input) {
  const ModelSpec& spec = block.spec();
  const auto [q, k, v] = projected(block);
  if (spec.fused_qkv) {
    const TensorView fused = fused_rows(block, q.cols() + k.cols() + v.cols());
    linear_forward(block, Linear::qkv, input, fused);
    split_parts(fused, groups_of_qkv(spec), {q, k, v}, block.stream());
    return;
  }
  linear_forward(block, Linear::q, input, q);
  linear_forward(block, Linear::k, input, k);
  linear_forward(block, Linear::v, input, v);
}

void project_qkv_backward(const BlockContext& block, InputGradients& input) {
  const ModelSpec& spec = block.spec();
  const auto [dq, dk, dv] = gradients_of(block);
  if (spec.fused_qkv) {
    const TensorView dfused = fused_rows(block, dq.cols() + dk.cols() + dv.cols());
    join_parts({dq, dk, dv}, groups_of_qkv(spec), dfused, block.stream());
    last_input_linear_backward(block, Linear::qkv, dfused, input);
    return;
  }
  input_linear_backward(block, Linear::q, dq, input);
  input_linear_backward(block, Linear::k, dk, input);
  last_input_linear_backward(block, Linear::v, dv, input);
}

void norm_heads(const BlockContext& block) {
  if (block.spec().width_norm) {
    norm_whole_width(block);
  }
  if (!block.spec().head_norm) {
    return;
  }
  const SavedActivations& saved = block.saved();
  const Qkv plain = projected(block);
  const Qkv normed = attention_input(block);
  norm_each_head(block, block.rest().q_norm, plain.q, normed.q, saved.q_rstd.rows(block.tp.tokens));
  norm_each_head(block, block.rest().k_norm, plain.k, normed.k, saved.k_rstd.rows(block.tp.tokens));
}

void norm_heads_backward(const BlockContext& block) {
  if (block.spec().width_norm) {
    norm_whole_width_backward(block);
  }
  if (!block.spec().head_norm) {
    return;
  }
  const SavedActivations& saved = block.saved();
  const std::int64_t n = block.tp.tokens;
  const TensorView room = block.gradients().attended.rows(n);  // free by now
  const Qkv plain = projected(block);
  const auto [dq, dk, dv] = gradients_of(block);
  norm_each_head_backward(block, VectorSite::q_norm, dq, plain.q, saved.q_rstd.rows(n), room);
  norm_each_head_backward(block, VectorSite::k_norm, dk, plain.k, saved.k_rstd.rows(n), room);
}

void rotate(const BlockContext& block) { rotate_qk(block, attention_input(block), RopeDirection::forward); }

void rotate_backward(const BlockContext& block) { rotate_qk(block, gradients_of(block), RopeDirection::backward); }

void attend(const BlockContext& block) {
  const Qkv added = attention_input(block);
  put_virtual_keys(block, added.k, added.v);
  const Qkv qkv = block.model.cache != nullptr ? append_to_cache(block, added) : added;
  const SavedActivations& saved = block.saved();
  const std::int64_t n = block.tp.tokens;
  attention({.q = qkv.q,
             .k = qkv.k,
             .v = qkv.v,
             .cu_seqlens_q = block.batch.cu_seqlens,
             .cu_seqlens_k = block.batch.key_cu_seqlens,
             .shape = attention_shape(block),
             .out = saved.attended.rows(n),
             .log_sum_exp = saved.log_sum_exp.rows(n)},
            block.stream());
}

void attend_backward(const BlockContext& block) {
  const SavedActivations& saved = block.saved();
  const std::int64_t n = block.tp.tokens;
  const auto [q, k, v] = attention_input(block);
  const auto [dq, dk, dv] = gradients_of(block);
  attention_backward({.dout = block.gradients().attended.rows(n),
                      .q = q,
                      .k = k,
                      .v = v,
                      .out = saved.attended.rows(n),
                      .log_sum_exp = saved.log_sum_exp.rows(n),
                      .starts = block.batch.cu_seqlens,
                      .shape = attention_shape(block),
                      .dq = dq,
                      .dk = dk,
                      .dv = dv},
                     block.stream());
  take_virtual_keys(block, dk, dv);
}

}  // namespace lora_dist

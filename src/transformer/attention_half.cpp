// The operator calls of a block's attention, forward and backward.
#include "src/transformer/attention_half.h"

#include <cmath>

#include "kernels/elementwise/copy.h"
#include "kernels/fused_qkv/fused_qkv.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "src/transformer/block_half.h"

namespace lora_dist {

namespace {

AttentionShape attention_shape(const BlockInputs& block) {
  const ModelSpec& spec = *block.spec;
  const LayerSpec layer = spec.layer(block.layer);
  AttentionShape shape;
  shape.heads = static_cast<int>(spec.heads);
  shape.kv_heads = static_cast<int>(spec.kv_heads);
  shape.head_dim = static_cast<int>(spec.head_dim);
  shape.scale = layer.score_scale / std::sqrt(static_cast<float>(spec.head_dim));
  shape.longest = block.longest;
  shape.window = static_cast<int>(layer.window);
  return shape;
}

/// Each head of each token as a row.
TensorView by_head(const TensorView& x, std::int64_t head_dim) {
  return {x.data, x.dtype, {x.rows() * x.cols() / head_dim, head_dim}};
}
TensorView flat(const TensorView& x) { return {x.data, x.dtype, {x.shape.count()}}; }

HalfBuffers half_of(const BlockInputs& block, const BlockActivations& kept) {
  return {&block.rest->attention_norm, kept.attention_norm, kept.normed_in, kept.attention_out};
}

/// q, k and v of the half's input, before heads are normed.
void project(const BlockInputs& block, const LoraPass& pass, ConstTensorView x, const BlockActivations& kept, TensorView q,
             TensorView k, TensorView v) {
  const ModelSpec& spec = *block.spec;
  if (spec.fused_qkv) {
    const TensorView fused = kept.qkv.rows(x.rows());
    apply_linear(block, pass, Linear::qkv, x, kept, fused);
    split_qkv(fused, {.heads = spec.heads, .head_dim = spec.head_dim, .layout = *spec.fused_qkv}, q, k, v, pass.stream);
    return;
  }
  apply_linear(block, pass, Linear::q, x, kept, q);
  apply_linear(block, pass, Linear::k, x, kept, k);
  apply_linear(block, pass, Linear::v, x, kept, v);
}

void project_backward(const BlockInputs& block, const LoraPass& pass, HalfInput input, const BlockActivations& kept,
                      TensorView dq, TensorView dk, TensorView dv) {
  const ModelSpec& spec = *block.spec;
  if (spec.fused_qkv) {
    const TensorView dfused = kept.qkv.rows(dq.rows());
    join_qkv(dq, dk, dv, {.heads = spec.heads, .head_dim = spec.head_dim, .layout = *spec.fused_qkv}, dfused, pass.stream);
    last_input_backward(block, pass, Linear::qkv, dfused, kept, input);
    return;
  }
  linear_backward(block, pass, Linear::q, dq, input.x, kept, input.dx, input.next());
  linear_backward(block, pass, Linear::k, dk, input.x, kept, input.dx, input.next());
  last_input_backward(block, pass, Linear::v, dv, kept, input);
}

/// Norms each head of q and k.
void norm_heads(const BlockInputs& block, const LoraPass& pass, const BlockActivations& kept, std::int64_t n) {
  const ModelSpec& spec = *block.spec;
  const std::int64_t d = spec.head_dim;
  rms_norm(by_head(kept.plain_q.rows(n), d), view(block.rest->q_norm.weight), spec.norm_eps, by_head(kept.q.rows(n), d),
           flat(kept.q_rstd.rows(n)), pass.stream);
  rms_norm(by_head(kept.plain_k.rows(n), d), view(block.rest->k_norm.weight), spec.norm_eps, by_head(kept.k.rows(n), d),
           flat(kept.k_rstd.rows(n)), pass.stream);
}

/// dq, dk: of the normed heads, then of the plain ones. `room`: at least as large as dq.
void norm_heads_backward(const BlockInputs& block, const LoraPass& pass, const BlockActivations& kept, TensorView dq,
                         TensorView dk, const TensorView& room) {
  const std::int64_t n = dq.rows();
  const std::int64_t d = block.spec->head_dim;
  const auto backward = [&](const NormWeights& weights, TensorView dx, TensorView plain, TensorView rstd) {
    const TensorView sum{room.data, room.dtype, dx.shape};
    zero(sum, pass.stream);
    rms_norm_backward(by_head(dx, d), by_head(plain, d), view(weights.weight), flat(rstd), by_head(sum, d), pass.stream);
    copy(sum, dx, pass.stream);
  };
  backward(block.rest->q_norm, dq, kept.plain_q.rows(n), kept.q_rstd.rows(n));
  backward(block.rest->k_norm, dk, kept.plain_k.rows(n), kept.k_rstd.rows(n));
}

void rotate(const BlockInputs& block, const LoraPass& pass, TensorView q, TensorView k, RopeDirection direction) {
  const ModelSpec& spec = *block.spec;
  if (spec.learned_positions || !spec.layer(block.layer).rotary) {
    return;
  }
  rope(q, pass.positions, block.rope_table, spec.head_dim, direction, pass.stream);
  rope(k, pass.positions, block.rope_table, spec.head_dim, direction, pass.stream);
}

/// Appends this call's keys and values to the cache, and attends to all of it.
void attend_to_cache(const BlockInputs& block, const LoraPass& pass, TensorView q, TensorView k, TensorView v, TensorView out,
                     TensorView log_sum_exp) {
  KvCache& cache = *block.cache;
  const auto layer = static_cast<std::size_t>(block.layer);
  const std::int64_t keys = cache.length + q.rows();
  require(keys <= cache.capacity, "the key-value cache is full");
  copy(k, cache.k[layer].rows_from(cache.length, k.rows()), pass.stream);
  copy(v, cache.v[layer].rows_from(cache.length, v.rows()), pass.stream);
  attention({.q = q,
             .k = cache.k[layer].rows(keys),
             .v = cache.v[layer].rows(keys),
             .query_starts = block.starts,
             .key_starts = block.key_starts,
             .shape = attention_shape(block),
             .out = out,
             .log_sum_exp = log_sum_exp},
            pass.stream);
}

}  // namespace

void attention_forward(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept) {
  const ModelSpec& spec = *block.spec;
  const std::int64_t n = pass.rows.tokens;
  const TensorView q = kept.q.rows(n);
  const TensorView k = kept.k.rows(n);
  const TensorView v = kept.v.rows(n);
  const TensorView attended = kept.attended.rows(n);
  const HalfBuffers half = half_of(block, kept);

  const ConstTensorView input = enter_half(block, pass, half, hidden);
  if (spec.head_norm) {
    project(block, pass, input, kept, kept.plain_q.rows(n), kept.plain_k.rows(n), v);
    norm_heads(block, pass, kept, n);
  } else {
    project(block, pass, input, kept, q, k, v);
  }
  rotate(block, pass, q, k, RopeDirection::forward);
  if (block.cache != nullptr) {
    attend_to_cache(block, pass, q, k, v, attended, kept.log_sum_exp.rows(n));
  } else {
    attention({.q = q,
               .k = k,
               .v = v,
               .query_starts = block.starts,
               .key_starts = block.starts,
               .shape = attention_shape(block),
               .out = attended,
               .log_sum_exp = kept.log_sum_exp.rows(n)},
              pass.stream);
  }
  leave_half(block, pass, half, Linear::o, attended, kept, hidden, kept.middle.rows(pass.rows.own()));
}

void attention_recompute_cheap(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden,
                               const BlockActivations& kept) {
  enter_half(block, pass, half_of(block, kept), hidden);
}

void attention_out_backward(const BlockInputs& block, const LoraPass& pass, const BlockActivations& kept,
                            const BlockGradients& gradients) {
  const std::int64_t n = pass.rows.tokens;
  linear_backward(block, pass, Linear::o, out_gradient(block, pass, half_of(block, kept), gradients), kept.attended.rows(n), kept,
                  gradients.attended.rows(n), InputGradient::write);
}

void attention_in_backward(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept,
                           const BlockGradients& gradients, bool input_gradient) {
  const std::int64_t n = pass.rows.tokens;
  const TensorView dattended = gradients.attended.rows(n);
  const TensorView dq = gradients.q.rows(n);
  const TensorView dk = gradients.k.rows(n);
  const TensorView dv = gradients.v.rows(n);

  attention_backward({.dout = dattended,
                      .q = kept.q.rows(n),
                      .k = kept.k.rows(n),
                      .v = kept.v.rows(n),
                      .out = kept.attended.rows(n),
                      .log_sum_exp = kept.log_sum_exp.rows(n),
                      .starts = block.starts,
                      .shape = attention_shape(block),
                      .dq = dq,
                      .dk = dk,
                      .dv = dv},
                     pass.stream);
  rotate(block, pass, dq, dk, RopeDirection::backward);
  if (block.spec->head_norm) {
    norm_heads_backward(block, pass, kept, dq, dk, dattended);
  }
  const HalfBuffers half = half_of(block, kept);
  project_backward(block, pass, begin_input_gradient(block, pass, half, hidden, gradients, input_gradient), kept, dq, dk, dv);
  end_input_gradient(block, pass, half, hidden, gradients, input_gradient);
}

}  // namespace lora_dist

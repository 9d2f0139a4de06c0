// The operator calls of one transformer block: forward, recomputation, backward.
#include "src/model/block.h"

#include <cmath>

#include "kernels/copy/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "kernels/swiglu/swiglu.h"

namespace lora_dist {

namespace {

LoraLinear linear_of(const BlockInputs& block, Linear linear) {
  const std::size_t i = index_of(linear);
  const auto& place = block.layout->blocks[static_cast<std::size_t>(block.layer)][i];
  return {block.weights[i], block.rest->bias[i], place ? &*place : nullptr, static_cast<std::uint32_t>(block.layer), linear};
}

AttentionShape attention_shape(const BlockInputs& block) {
  const ModelSpec& spec = *block.spec;
  return {static_cast<int>(spec.heads), static_cast<int>(spec.kv_heads), static_cast<int>(spec.head_dim),
          1.0F / std::sqrt(static_cast<float>(spec.head_dim)), block.longest};
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
  attention(q, cache.k[layer].rows(keys), cache.v[layer].rows(keys), block.starts, block.key_starts, attention_shape(block), out,
            log_sum_exp, pass.stream);
}

/// Everything up to the input of the down projection.
void forward_to_activated(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept) {
  const ModelSpec& spec = *block.spec;
  const Stream& stream = pass.stream;
  const std::int64_t n = hidden.rows();
  const auto z = [&](Linear linear) { return kept.z[index_of(linear)].rows(n); };
  const auto apply = [&](Linear linear, ConstTensorView x, TensorView y, ConstTensorView residual = {}) {
    lora_linear(linear_of(block, linear), pass, x, z(linear), y, residual);
  };
  const TensorView normed_in = kept.normed_in.rows(n);
  const TensorView q = kept.q.rows(n);
  const TensorView k = kept.k.rows(n);
  const TensorView v = kept.v.rows(n);
  const TensorView attended = kept.attended.rows(n);
  const TensorView middle = kept.middle.rows(n);
  const TensorView normed_middle = kept.normed_middle.rows(n);

  rms_norm(hidden, view(block.rest->input_norm), spec.norm_eps, normed_in, kept.rstd_in.column(n), stream);
  apply(Linear::q, normed_in, q);
  apply(Linear::k, normed_in, k);
  apply(Linear::v, normed_in, v);
  rope(q, pass.positions, block.rope_table, RopeDirection::forward, stream);
  rope(k, pass.positions, block.rope_table, RopeDirection::forward, stream);
  if (block.cache != nullptr) {
    attend_to_cache(block, pass, q, k, v, attended, kept.log_sum_exp.rows(n));
  } else {
    attention(q, k, v, block.starts, block.starts, attention_shape(block), attended, kept.log_sum_exp.rows(n), stream);
  }
  apply(Linear::o, attended, middle, hidden);

  rms_norm(middle, view(block.rest->post_attention_norm), spec.norm_eps, normed_middle, kept.rstd_middle.column(n), stream);
  apply(Linear::gate, normed_middle, kept.gate.rows(n));
  apply(Linear::up, normed_middle, kept.up.rows(n));
  swiglu(kept.gate.rows(n), kept.up.rows(n), kept.activated.rows(n), stream);
}

}  // namespace

void block_forward(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept,
                   TensorView out) {
  const std::int64_t n = hidden.rows();
  forward_to_activated(block, pass, hidden, kept);
  lora_linear(linear_of(block, Linear::down), pass, kept.activated.rows(n), kept.z[index_of(Linear::down)].rows(n), out,
              kept.middle.rows(n));
}

void block_recompute_cheap(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept) {
  const std::int64_t n = hidden.rows();
  const float eps = block.spec->norm_eps;
  rms_norm(hidden, view(block.rest->input_norm), eps, kept.normed_in.rows(n), kept.rstd_in.column(n), pass.stream);
  rms_norm(kept.middle.rows(n), view(block.rest->post_attention_norm), eps, kept.normed_middle.rows(n),
           kept.rstd_middle.column(n), pass.stream);
  swiglu(kept.gate.rows(n), kept.up.rows(n), kept.activated.rows(n), pass.stream);
}

void block_recompute(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept) {
  const std::int64_t n = hidden.rows();
  forward_to_activated(block, pass, hidden, kept);
  lora_linear_z(linear_of(block, Linear::down), pass, kept.activated.rows(n), kept.z[index_of(Linear::down)].rows(n));
}

void block_backward(const BlockInputs& block, const LoraPass& pass, ConstTensorView hidden, const BlockActivations& kept,
                    const BlockGradients& gradients, bool input_gradient) {
  const Stream& stream = pass.stream;
  const std::int64_t n = hidden.rows();
  const auto backward = [&](Linear linear, ConstTensorView dy, ConstTensorView x, TensorView dx, InputGradient input) {
    lora_linear_backward(linear_of(block, linear), pass, dy, x, kept.z[index_of(linear)].rows(n), dx, input);
  };
  const TensorView dhidden = gradients.hidden.rows(n);  // the residual path carries it down unchanged
  const TensorView dnormed = gradients.normed.rows(n);
  const TensorView dgate = gradients.activated.rows(n);
  const TensorView dup = gradients.up.rows(n);
  const TensorView dattended = gradients.attended.rows(n);
  const TensorView dq = gradients.q.rows(n);
  const TensorView dk = gradients.k.rows(n);
  const TensorView dv = gradients.v.rows(n);

  backward(Linear::down, dhidden, kept.activated.rows(n), dgate, InputGradient::write);
  swiglu_backward(dgate, kept.gate.rows(n), kept.up.rows(n), dgate, dup, stream);
  backward(Linear::gate, dgate, kept.normed_middle.rows(n), dnormed, InputGradient::write);
  backward(Linear::up, dup, kept.normed_middle.rows(n), dnormed, InputGradient::add);
  rms_norm_backward(dnormed, kept.middle.rows(n), view(block.rest->post_attention_norm), kept.rstd_middle.column(n), dhidden,
                    stream);

  backward(Linear::o, dhidden, kept.attended.rows(n), dattended, InputGradient::write);
  attention_backward(dattended, kept.q.rows(n), kept.k.rows(n), kept.v.rows(n), kept.attended.rows(n), kept.log_sum_exp.rows(n),
                     block.starts, attention_shape(block), dq, dk, dv, stream);
  rope(dq, pass.positions, block.rope_table, RopeDirection::backward, stream);
  rope(dk, pass.positions, block.rope_table, RopeDirection::backward, stream);
  const ConstTensorView normed_in = kept.normed_in.rows(n);
  backward(Linear::q, dq, normed_in, dnormed, input_gradient ? InputGradient::write : InputGradient::none);
  backward(Linear::k, dk, normed_in, dnormed, input_gradient ? InputGradient::add : InputGradient::none);
  backward(Linear::v, dv, normed_in, dnormed, input_gradient ? InputGradient::add : InputGradient::none);
  if (input_gradient) {
    rms_norm_backward(dnormed, hidden, view(block.rest->input_norm), kept.rstd_in.column(n), dhidden, stream);
  }
}

}  // namespace lora_dist

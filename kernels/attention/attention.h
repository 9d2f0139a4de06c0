// Causal grouped-query attention over ragged segments, in tiles with a running softmax (Dao et al., FlashAttention, 2022):
// no matrix of tokens x tokens ever exists.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// Attention stays within a segment: a sequence of a batch, a packed sample, or one query against a cache.
/// Segment s has queries [cu_seqlens_q[s], cu_seqlens_q[s+1]) and keys [cu_seqlens_k[s], cu_seqlens_k[s+1]); it has at least as
/// many keys as queries, and its last query attends to its last key (so query i of nq attends to keys 0 .. nk - nq + i, or the
/// last `window` of those).
struct AttentionShape {
  int heads = 0;
  int kv_heads = 0;  // divides heads; head h reads kv head h / (heads / kv_heads)
  int head_dim = 0;
  float scale = 0.0F;  // usually 1 / sqrt(head_dim)
  int longest = 0;     // queries of the longest segment; CUDA sizes its grid by it (0: not known, all queries may be one segment)
  int window = 0;      // the most keys that a query attends to, its own included (Hugging Face's sliding_window); 0: all
  float soft_cap = 0.0F;  // scaled scores s become soft_cap * tanh(s / soft_cap) (Gemma 2); 0: they stay
};

/// Arguments of attention. q: f32 [queries, heads * head_dim]; k, v: f32 [keys, kv_heads * head_dim]; cu_seqlens_q,
/// cu_seqlens_k: i32 [segments + 1]; out: f32 as q; log_sum_exp: f32 [queries, heads], saved for backward.
/// CUDA: q, k, v and out of one dtype (f32, bf16, f16), heads of up to 256 dimensions. cu_seqlens are in device memory and not
/// checked by the host: a segment with invalid offsets, or longer than shape.longest, gives rows of NaN.
struct AttentionArguments {
  ConstTensorView q;
  ConstTensorView k;
  ConstTensorView v;
  ConstTensorView cu_seqlens_q;
  ConstTensorView cu_seqlens_k;
  AttentionShape shape;
  TensorView out;
  TensorView log_sum_exp;
};

void attention_cpu(const AttentionArguments& a, const Stream& stream);
void attention_cuda(const AttentionArguments& a, const Stream& stream);

/// Views of the forward pass, and the gradients. CUDA: all but log_sum_exp of one dtype.
struct AttentionBackwardArguments {
  ConstTensorView dout;
  ConstTensorView q;
  ConstTensorView k;
  ConstTensorView v;
  ConstTensorView out;
  ConstTensorView log_sum_exp;
  ConstTensorView starts;  // of queries and keys
  AttentionShape shape;
  TensorView dq;
  TensorView dk;
  TensorView dv;
};

/// Gradients with respect to q, k, v (written, not added to), for segments with as many keys as queries. Probabilities are
/// recomputed tile by tile from log_sum_exp. CUDA: the same bits every time.
void attention_backward_cpu(const AttentionBackwardArguments& a, const Stream& stream);
void attention_backward_cuda(const AttentionBackwardArguments& a, const Stream& stream);

/// Keys that a query sees, on average over a segment of `tokens` of both.
inline double keys_seen(std::int64_t tokens, std::int64_t window) {
  const auto n = static_cast<double>(tokens);
  const double w = window > 0 ? std::min(n, static_cast<double>(window)) : n;
  return (w * (w + 1.0) / 2.0 + (n - w) * w) / n;
}
/// Two products forward and five backward, 2 FLOP each for every key that a query sees, dimension and head. Where starts lie, the
/// host does not see: all segments are taken to be as long as the longest.
inline double attention_flops(double products, ConstTensorView q, const AttentionShape& shape) {
  const double keys = keys_seen(shape.longest > 0 ? shape.longest : q.rows(), shape.window);
  return products * 2.0 * static_cast<double>(q.rows()) * (keys * static_cast<double>(q.cols()));
}
inline void attention(const AttentionArguments& a, const Stream& stream) {
  LORA_DIST_DISPATCH_COUNTED(attention, OperatorWork{attention_flops(2.0, a.q, a.shape)}, stream, a);
}
inline void attention_backward(const AttentionBackwardArguments& a, const Stream& stream) {
  LORA_DIST_DISPATCH_COUNTED(attention_backward, OperatorWork{attention_flops(5.0, a.q, a.shape)}, stream, a);
}

/// Throw KernelError unless the views have the shapes above. Only the CPU checks the offsets in cu_seqlens.
inline void check_attention_shape(ConstTensorView q, ConstTensorView k, ConstTensorView v, const AttentionShape& shape) {
  require(shape.heads > 0 && shape.kv_heads > 0 && shape.head_dim > 0 && shape.heads % shape.kv_heads == 0,
          "attention: kv_heads must divide heads");
  require(shape.window >= 0, "attention: window must not be negative");
  require(shape.soft_cap >= 0.0F, "attention: soft_cap must not be negative");
  require(q.shape.rank == 2 && q.cols() == std::int64_t{shape.heads} * shape.head_dim,
          "attention: q must be [queries, heads * head_dim]");
  require(k.shape.rank == 2 && k.cols() == std::int64_t{shape.kv_heads} * shape.head_dim && k.shape == v.shape,
          "attention: k and v must be [keys, kv_heads * head_dim]");
}
inline void check_attention(const AttentionArguments& a) {
  check_attention_shape(a.q, a.k, a.v, a.shape);
  require(a.cu_seqlens_q.count() == a.cu_seqlens_k.count(), "attention: queries and keys must have the same segments");
  require(a.out.shape == a.q.shape, "attention: out must have the shape of q");
  require(a.log_sum_exp.shape == Shape{a.q.rows(), a.shape.heads}, "attention: log_sum_exp must be [queries, heads]");
}
inline void check_attention_backward(const AttentionBackwardArguments& a) {
  check_attention_shape(a.q, a.k, a.v, a.shape);
  require(a.q.rows() == a.k.rows(), "attention_backward: as many keys as queries");
  require(a.dout.shape == a.q.shape && a.out.shape == a.q.shape && a.dq.shape == a.q.shape,
          "attention_backward: dout, out and dq must have the shape of q");
  require(a.dk.shape == a.k.shape && a.dv.shape == a.k.shape, "attention_backward: dk and dv must have the shape of k");
  require(a.log_sum_exp.shape == Shape{a.q.rows(), a.shape.heads}, "attention_backward: log_sum_exp must be [queries, heads]");
}

}  // namespace lora_dist

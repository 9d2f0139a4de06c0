// Causal grouped-query attention over ragged segments, in tiles with a running softmax (Dao et al., FlashAttention, 2022):
// no matrix of tokens x tokens ever exists.
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// Segments do not see each other: a batch, packed samples, or one query against a cache are all segments.
/// Segment s has queries [query_starts[s], query_starts[s+1]) and keys [key_starts[s], key_starts[s+1]); it has at least as many
/// keys as queries, and its last query sees its last key (so query i of nq sees keys 0 .. nk - nq + i, of which a window leaves
/// the last `window`).
struct AttentionShape {
  int heads = 0;
  int kv_heads = 0;  // divides heads; head h reads kv head h / (heads / kv_heads)
  int head_dim = 0;
  float scale = 0.0F;  // usually 1 / sqrt(head_dim)
  int longest = 0;     // queries of the longest segment; CUDA sizes its grid by it (0: not known, all queries may be one segment)
  int window = 0;      // how many keys a query sees at most, the last one its own (Hugging Face's sliding_window); 0: all
};

/// q: f32 [queries, heads * head_dim]; k, v: f32 [keys, kv_heads * head_dim]; query_starts, key_starts: i32 [segments + 1];
/// out: f32 as q; log_sum_exp: f32 [queries, heads], kept for backward.
/// CUDA: q, k, v and out of one dtype (f32, bf16, f16), heads of up to 256 dimensions. Starts are device memory that the host
/// does not see: a segment that they misplace, or that is longer than shape.longest, gives rows of NaN.
void attention_cpu(ConstTensorView q, ConstTensorView k, ConstTensorView v, ConstTensorView query_starts,
                   ConstTensorView key_starts, const AttentionShape& shape, TensorView out, TensorView log_sum_exp,
                   const Stream& stream);
void attention_cuda(ConstTensorView q, ConstTensorView k, ConstTensorView v, ConstTensorView query_starts,
                    ConstTensorView key_starts, const AttentionShape& shape, TensorView out, TensorView log_sum_exp,
                    const Stream& stream);

/// Gradients with respect to q, k, v (written, not added to), for segments with as many keys as queries (`starts` serves both).
/// Probabilities are recomputed tile by tile from log_sum_exp. CUDA: all but log_sum_exp of one dtype; the same bits every time.
void attention_backward_cpu(ConstTensorView dout, ConstTensorView q, ConstTensorView k, ConstTensorView v, ConstTensorView out,
                            ConstTensorView log_sum_exp, ConstTensorView starts, const AttentionShape& shape, TensorView dq,
                            TensorView dk, TensorView dv, const Stream& stream);
void attention_backward_cuda(ConstTensorView dout, ConstTensorView q, ConstTensorView k, ConstTensorView v, ConstTensorView out,
                             ConstTensorView log_sum_exp, ConstTensorView starts, const AttentionShape& shape, TensorView dq,
                             TensorView dk, TensorView dv, const Stream& stream);

inline void attention(ConstTensorView q, ConstTensorView k, ConstTensorView v, ConstTensorView query_starts,
                      ConstTensorView key_starts, const AttentionShape& shape, TensorView out, TensorView log_sum_exp,
                      const Stream& stream) {
  LORA_DIST_DISPATCH(attention, stream, q, k, v, query_starts, key_starts, shape, out, log_sum_exp);
}
inline void attention_backward(ConstTensorView dout, ConstTensorView q, ConstTensorView k, ConstTensorView v, ConstTensorView out,
                               ConstTensorView log_sum_exp, ConstTensorView starts, const AttentionShape& shape, TensorView dq,
                               TensorView dk, TensorView dv, const Stream& stream) {
  LORA_DIST_DISPATCH(attention_backward, stream, dout, q, k, v, out, log_sum_exp, starts, shape, dq, dk, dv);
}

}  // namespace lora_dist

// Softmax cross entropy over a chunk of logits (a chunk: some tokens, all of the vocabulary; the whole never exists).
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/not_trained.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// loss[t] = log(sum exp(logits[t])) - logits[t, targets[t]], and logits become the gradient in place:
/// scale * (softmax - onehot(target)). A target of kNotTrained (-100) gives loss 0 and a row of zeros.
/// logits: f32 [tokens, vocab]; targets: i32 [tokens]; loss: f32 [tokens]. Sums run in a fixed order.
void cross_entropy_cpu(TensorView logits, ConstTensorView targets, float scale, TensorView loss, const Stream& stream);
void cross_entropy_cuda(TensorView logits, ConstTensorView targets, float scale, TensorView loss, const Stream& stream);

/// For scoring: log_prob[t] = log softmax(logits[t])[targets[t]] (0 where the target is -100) and argmax[t] = the most
/// probable token (the lowest id among equals). logits: f32 [tokens, vocab]; targets, argmax: i32 [tokens]; log_prob: f32
/// [tokens].
void token_log_prob_cpu(ConstTensorView logits, ConstTensorView targets, TensorView log_prob, TensorView argmax,
                        const Stream& stream);
void token_log_prob_cuda(ConstTensorView logits, ConstTensorView targets, TensorView log_prob, TensorView argmax,
                         const Stream& stream);

inline void cross_entropy(TensorView logits, ConstTensorView targets, float scale, TensorView loss, const Stream& stream) {
  LORA_DIST_DISPATCH(cross_entropy, stream, logits, targets, scale, loss);
}
inline void token_log_prob(ConstTensorView logits, ConstTensorView targets, TensorView log_prob, TensorView argmax,
                           const Stream& stream) {
  LORA_DIST_DISPATCH(token_log_prob, stream, logits, targets, log_prob, argmax);
}

}  // namespace lora_dist

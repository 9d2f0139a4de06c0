// Softmax cross entropy over a chunk of logits (a chunk: some tokens, all of the vocabulary; the whole never exists).
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/not_trained.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

/// loss[t] = log(sum exp(logits[t])) - logits[t, targets[t]], and gradient = scale * (softmax -
/// onehot(target)). A target of kNotTrained (-100) gives loss 0 and a row of zeros.
/// logits: f32 [tokens, vocab]; targets: i32 [tokens], each -100 or in [0, vocab) (KernelError otherwise); loss: f32 [tokens].
/// gradient: the logits themselves (in place). Sums run in a fixed order.
/// On CUDA logits may also be bf16 or f16, and gradient may be a buffer of its own of any of the three (the logits then stay);
/// a target outside the vocabulary gives a loss and a row of NaN: the host cannot see it.
void cross_entropy_cpu(TensorView logits, ConstTensorView targets, float scale, TensorView loss, TensorView gradient,
                       const Stream& stream);
void cross_entropy_cuda(TensorView logits, ConstTensorView targets, float scale, TensorView loss, TensorView gradient,
                        const Stream& stream);

/// For scoring: log_prob[t] = log softmax(logits[t])[targets[t]] (0 where the target is -100) and argmax[t] = the most
/// probable token (the lowest id among equals; NaN is never chosen, 0 where there is nothing else). logits: f32 [tokens, vocab];
/// targets, argmax: i32 [tokens]; log_prob: f32 [tokens]. On CUDA logits may also be bf16 or f16, and a target outside the
/// vocabulary gives a log_prob of NaN.
void token_log_prob_cpu(ConstTensorView logits, ConstTensorView targets, TensorView log_prob, TensorView argmax,
                        const Stream& stream);
void token_log_prob_cuda(ConstTensorView logits, ConstTensorView targets, TensorView log_prob, TensorView argmax,
                         const Stream& stream);

inline void cross_entropy(TensorView logits, ConstTensorView targets, float scale, TensorView loss, TensorView gradient,
                          const Stream& stream) {
  LORA_DIST_DISPATCH(cross_entropy, stream, logits, targets, scale, loss, gradient);
}
inline void token_log_prob(ConstTensorView logits, ConstTensorView targets, TensorView log_prob, TensorView argmax,
                           const Stream& stream) {
  LORA_DIST_DISPATCH(token_log_prob, stream, logits, targets, log_prob, argmax);
}

}  // namespace lora_dist

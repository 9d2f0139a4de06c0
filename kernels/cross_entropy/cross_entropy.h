// Softmax cross entropy over a chunk of logits: some tokens, and the whole vocabulary or a part of it (the full logits never
// exist). Each part computes three numbers per row; the numbers of all parts give the loss and each part's gradient
// (Megatron-LM's vocabulary-parallel cross entropy, with one exchange in place of three).
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/not_trained.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

inline constexpr std::int64_t kSoftmaxNumbers = 3;

struct LossGradient {
  float scale = 1.0F;  // the gradient is that of scale * loss
  float soft_cap =
      0.0F;  // above 0: the logits are soft_cap * tanh(x / soft_cap) (soft_cap of elementwise.h), the gradient that of x
};

/// loss[t] = log(sum exp(logits[t])) - logits[t, targets[t]], and gradient = scale * (softmax -
/// onehot(target)), times the slope of the soft cap. A target of kNotTrained (-100) gives loss 0 and a row of zeros.
/// logits: f32 [tokens, vocab]; targets: i32 [tokens], each -100 or in [0, vocab) (KernelError otherwise); loss: f32 [tokens].
/// gradient: the logits themselves (in place). Sums run in a fixed order.
/// On CUDA logits may also be bf16 or f16, and gradient may be a buffer of its own of any of the three (the logits then stay);
/// a target outside the vocabulary gives NaN for the loss and its row, since the host cannot check it.
void cross_entropy_cpu(TensorView logits, ConstTensorView targets, const LossGradient& of, TensorView loss, TensorView gradient,
                       const Stream& stream);
void cross_entropy_cuda(TensorView logits, ConstTensorView targets, const LossGradient& of, TensorView loss, TensorView gradient,
                        const Stream& stream);

/// numbers[t] = {top: the largest logit, the sum of exp(logit - top), the logit of targets[t] or 0 where that id belongs to
/// another part}. logits: f32 [tokens, part], those of the ids from `first` on; targets: i32 [tokens]; numbers: f32 [tokens, 3].
void softmax_numbers_cpu(ConstTensorView logits, ConstTensorView targets, std::int64_t first, TensorView numbers,
                         const Stream& stream);
void softmax_numbers_cuda(ConstTensorView logits, ConstTensorView targets, std::int64_t first, TensorView numbers,
                          const Stream& stream);

/// logits, targets, first: as above. numbers: f32 [parts * tokens, 3], the softmax_numbers of all parts, in order. loss: f32
/// [tokens]; gradient: on the CPU the logits themselves; on CUDA f32, bf16 or f16 [tokens, part].
struct CrossEntropyPartArguments {
  TensorView logits;
  ConstTensorView targets;
  std::int64_t first = 0;
  ConstTensorView numbers;
  LossGradient of = {};
  TensorView loss;
  TensorView gradient;
};

/// loss[t] and the gradient as in cross_entropy, of this part's columns. A target of kNotTrained gives loss 0 and
/// a row of zeros.
void cross_entropy_part_cpu(const CrossEntropyPartArguments& a, const Stream& stream);
void cross_entropy_part_cuda(const CrossEntropyPartArguments& a, const Stream& stream);

/// For scoring: log_prob[t] = log softmax(logits[t])[targets[t]] (0 where the target is -100) and argmax[t] = the most
/// probable token (the lowest id among equals; NaN is never chosen, 0 where there is nothing else). logits: f32 [tokens, vocab];
/// targets, argmax: i32 [tokens]; log_prob: f32 [tokens]. On CUDA logits may also be bf16 or f16, and a target outside the
/// vocabulary gives a log_prob of NaN.
void token_log_prob_cpu(ConstTensorView logits, ConstTensorView targets, TensorView log_prob, TensorView argmax,
                        const Stream& stream);
void token_log_prob_cuda(ConstTensorView logits, ConstTensorView targets, TensorView log_prob, TensorView argmax,
                         const Stream& stream);

inline void cross_entropy(TensorView logits, ConstTensorView targets, const LossGradient& of, TensorView loss,
                          TensorView gradient, const Stream& stream) {
  LORA_DIST_DISPATCH(cross_entropy, stream, logits, targets, of, loss, gradient);
}
inline void softmax_numbers(ConstTensorView logits, ConstTensorView targets, std::int64_t first, TensorView numbers,
                            const Stream& stream) {
  LORA_DIST_DISPATCH(softmax_numbers, stream, logits, targets, first, numbers);
}
inline void cross_entropy_part(const CrossEntropyPartArguments& a, const Stream& stream) {
  LORA_DIST_DISPATCH(cross_entropy_part, stream, a);
}
inline void token_log_prob(ConstTensorView logits, ConstTensorView targets, TensorView log_prob, TensorView argmax,
                           const Stream& stream) {
  LORA_DIST_DISPATCH(token_log_prob, stream, logits, targets, log_prob, argmax);
}

/// Throw KernelError unless the views have the shapes above. Only the CPU checks targets against the vocabulary.
inline void check_logits(ConstTensorView logits, ConstTensorView targets) {
  require(logits.shape.rank == 2 && logits.cols() > 0, "cross_entropy: logits must be [tokens, vocab]");
  require(targets.count() == logits.rows(), "cross_entropy: targets must be [tokens]");
}
inline void check_loss_and_gradient(ConstTensorView logits, ConstTensorView loss, ConstTensorView gradient) {
  require(gradient.shape == logits.shape, "cross_entropy: gradient must be [tokens, vocab]");
  require(gradient.data != logits.data || gradient.dtype == logits.dtype || logits.count() == 0,
          "cross_entropy: a gradient over the logits must have their dtype");
  require(loss.count() == logits.rows(), "cross_entropy: loss must be [tokens]");
}
inline void check_token_log_prob(ConstTensorView logits, ConstTensorView log_prob, ConstTensorView argmax) {
  require(log_prob.count() == logits.rows() && argmax.count() == logits.rows(),
          "token_log_prob: log_prob and argmax must be [tokens]");
}
inline void check_softmax_numbers(ConstTensorView logits, ConstTensorView targets, ConstTensorView numbers) {
  check_logits(logits, targets);
  require(numbers.shape == Shape{logits.rows(), kSoftmaxNumbers}, "softmax_numbers: numbers must be [tokens, 3]");
}
inline void check_all_softmax_numbers(ConstTensorView logits, ConstTensorView numbers) {
  require(
      numbers.shape.rank == 2 && numbers.cols() == kSoftmaxNumbers && (logits.rows() == 0 || numbers.rows() % logits.rows() == 0),
      "cross_entropy_part: numbers must be [parts * tokens, 3]");
}

}  // namespace lora_dist

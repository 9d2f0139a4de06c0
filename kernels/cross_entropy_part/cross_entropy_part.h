// Cross entropy over logits whose vocabulary is cut: each part says three numbers of a row, and all of them together give the
// loss and each part's gradient (Megatron-LM's vocabulary-parallel cross entropy, with one exchange in place of three).
#pragma once

#include "kernels/common/dispatch.h"
#include "kernels/common/not_trained.h"
#include "kernels/common/tensor_view.h"

namespace lora_dist {

inline constexpr std::int64_t kSoftmaxNumbers = 3;

/// numbers[t] = {top: the largest logit, the sum of exp(logit - top), the logit of targets[t] or 0 where that id belongs to
/// another part}. logits: f32 [tokens, part], those of the ids from `first` on; targets: i32 [tokens]; numbers: f32 [tokens, 3].
void softmax_numbers_cpu(ConstTensorView logits, ConstTensorView targets, std::int64_t first, TensorView numbers,
                         const Stream& stream);
void softmax_numbers_cuda(ConstTensorView logits, ConstTensorView targets, std::int64_t first, TensorView numbers,
                          const Stream& stream);

/// loss[t] and the gradient of scale * loss as in cross_entropy.h, of this part's columns. numbers: f32 [parts * tokens, 3], part
/// by part: everybody's softmax_numbers, joined in this order. loss: f32 [tokens]; gradient: on the CPU the logits themselves; on
/// CUDA f32, bf16 or f16 [tokens, part]. A target of kNotTrained gives loss 0 and a row of zeros.
void cross_entropy_part_cpu(TensorView logits, ConstTensorView targets, std::int64_t first, ConstTensorView numbers, float scale,
                            TensorView loss, TensorView gradient, const Stream& stream);
void cross_entropy_part_cuda(TensorView logits, ConstTensorView targets, std::int64_t first, ConstTensorView numbers, float scale,
                             TensorView loss, TensorView gradient, const Stream& stream);

inline void softmax_numbers(ConstTensorView logits, ConstTensorView targets, std::int64_t first, TensorView numbers,
                            const Stream& stream) {
  LORA_DIST_DISPATCH(softmax_numbers, stream, logits, targets, first, numbers);
}
inline void cross_entropy_part(TensorView logits, ConstTensorView targets, std::int64_t first, ConstTensorView numbers,
                               float scale, TensorView loss, TensorView gradient, const Stream& stream) {
  LORA_DIST_DISPATCH(cross_entropy_part, stream, logits, targets, first, numbers, scale, loss, gradient);
}

/// Throws KernelError unless the views have the shapes above.
inline void check_softmax_numbers(ConstTensorView logits, ConstTensorView targets, ConstTensorView numbers) {
  require(logits.shape.rank == 2 && logits.cols() > 0, "cross_entropy_part: logits must be [tokens, part of the vocabulary]");
  require(targets.count() == logits.rows(), "cross_entropy_part: targets must be [tokens]");
  require(numbers.shape.rank == 2 && numbers.cols() == kSoftmaxNumbers, "cross_entropy_part: numbers must have 3 a row");
}

}  // namespace lora_dist

// A build without cuDNN: attention always takes the kernels of its own.
#include "kernels/attention/cudnn_attention.h"

namespace lora_dist {

bool cudnn_attention(ConstTensorView /*q*/, ConstTensorView /*k*/, ConstTensorView /*v*/, ConstTensorView /*query_starts*/,
                     ConstTensorView /*key_starts*/, const AttentionShape& /*shape*/, TensorView /*out*/,
                     TensorView /*log_sum_exp*/, const Stream& /*stream*/) {
  return false;
}

bool cudnn_attention_backward(ConstTensorView /*dout*/, ConstTensorView /*q*/, ConstTensorView /*k*/, ConstTensorView /*v*/,
                              ConstTensorView /*out*/, ConstTensorView /*log_sum_exp*/, ConstTensorView /*starts*/,
                              const AttentionShape& /*shape*/, TensorView /*dq*/, TensorView /*dk*/, TensorView /*dv*/,
                              const Stream& /*stream*/) {
  return false;
}

}  // namespace lora_dist

// Attention by cuDNN, where a build has it (cudnn_attention.cu) and it takes the shape. A build without it links
// cudnn_absent.cpp, which takes none.
#pragma once

#include "kernels/attention/attention.h"

namespace lora_dist {

/// attention_cuda()'s contract with its arguments already checked. False, with nothing launched, when cuDNN does not do this
/// shape: it does bf16 and f16, heads of a multiple of 8 dimensions, one array of starts for queries and keys, and no window
/// that hides a key.
bool cudnn_attention(const AttentionArguments& a, const Stream& stream);

/// The same for attention_backward_cuda(), with cuDNN's deterministic algorithm.
bool cudnn_attention_backward(const AttentionBackwardArguments& a, const Stream& stream);

}  // namespace lora_dist

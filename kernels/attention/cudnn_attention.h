// Attention by cuDNN (cudnn_attention.cu), for the shapes that cuDNN supports. A build without cuDNN links cudnn_absent.cpp,
// which supports none.
#pragma once

#include "kernels/attention/attention.h"

namespace lora_dist {

/// attention_cuda()'s contract with its arguments already checked. Returns false, with nothing launched, for unsupported shapes.
/// Supported: bf16 and f16, head_dim a multiple of 8, one cu_seqlens for queries and keys, and no window that masks a key.
bool cudnn_attention(const AttentionArguments& a, const Stream& stream);

/// The same for attention_backward_cuda(), with cuDNN's deterministic algorithm.
bool cudnn_attention_backward(const AttentionBackwardArguments& a, const Stream& stream);

}  // namespace lora_dist

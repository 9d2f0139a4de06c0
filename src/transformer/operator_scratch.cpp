// Calls each operator that keeps memory once: cuBLASLt's workspace, attention's sums and cuDNN's workspace.
#include "src/transformer/operator_scratch.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/common/device.h"
#include "kernels/elementwise/copy.h"
#include "kernels/matmul/matmul.h"

namespace lora_dist {

namespace {

void multiply_once(const Workspace& workspace, const Stream& stream) {
  const TensorView row = workspace.in_flight[0].entering(0).rows(1);
  matmul({.a = row, .b = row, .op_b = Transpose::yes, .c = view(workspace.logits.data(), {1, 1})}, stream);
}

/// cu_seqlens of as many segments of `longest` tokens as fit, at least one.
std::vector<std::int32_t> equal_segments(std::int64_t tokens, std::int64_t longest) {
  const std::int64_t segments = std::max<std::int64_t>(1, tokens / longest);
  std::vector<std::int32_t> cu_seqlens;
  for (std::int64_t s = 0; s <= segments; ++s) {
    cu_seqlens.push_back(static_cast<std::int32_t>(std::min(tokens, s * longest)));
  }
  return cu_seqlens;
}

/// One segment of `longest` tokens and short ones after it: memory may depend on the longest segment times their number.
std::vector<std::int32_t> mixed_segments(std::int64_t tokens, std::int64_t longest) {
  const std::int64_t few = std::min<std::int64_t>(longest, 16);
  std::vector<std::int32_t> cu_seqlens = {0};
  for (std::int64_t end = std::min(tokens, longest); end <= tokens; end += few) {
    cu_seqlens.push_back(static_cast<std::int32_t>(end));
  }
  return cu_seqlens;
}

/// `cu_seqlens`: the first segment is the longest.
void attend_once(const ModelSpec& spec, const Workspace& workspace, const std::vector<std::int32_t>& cu_seqlens, bool training,
                 const Stream& stream) {
  const std::int64_t n = cu_seqlens.back();
  const TensorView there = view(workspace.in_flight[0].cu_seqlens.first(cu_seqlens.size()));
  from_host(view(std::span<const std::int32_t>(cu_seqlens)), there, stream);
  const float scale = spec.layer(0).score_scale / std::sqrt(static_cast<float>(spec.head_dim));
  AttentionShape shape = {static_cast<int>(spec.heads), static_cast<int>(spec.kv_heads), static_cast<int>(spec.head_dim), scale,
                          cu_seqlens[1]};
  shape.soft_cap = spec.score_cap;
  const SavedActivations& block = workspace.in_flight[0].saved_of(0);
  attention({.q = block.q.rows(n),
             .k = block.k.rows(n),
             .v = block.v.rows(n),
             .cu_seqlens_q = there,
             .cu_seqlens_k = there,
             .shape = shape,
             .out = block.attended.rows(n),
             .log_sum_exp = block.log_sum_exp.rows(n)},
            stream);
  if (training) {
    const BlockGradients& gradients = workspace.gradients;
    attention_backward({.dout = gradients.attended.rows(n),
                        .q = block.q.rows(n),
                        .k = block.k.rows(n),
                        .v = block.v.rows(n),
                        .out = block.attended.rows(n),
                        .log_sum_exp = block.log_sum_exp.rows(n),
                        .starts = there,
                        .shape = shape,
                        .dq = gradients.q.rows(n),
                        .dk = gradients.k.rows(n),
                        .dv = gradients.v.rows(n)},
                       stream);
  }
}

}  // namespace

void take_operator_scratch(const ModelSpec& spec, const Workspace& workspace, std::int64_t longest, bool training, Arena& arena,
                           const Stream& stream) {
  if (stream.backend == Backend::cpu || workspace.max_tokens == 0 || !arena.holds_memory()) {
    return;
  }
  const std::int64_t most = longest > 0 ? longest : workspace.max_tokens;
  explain_full_memory(arena, "what operators keep for themselves", [&] {
    multiply_once(workspace, stream);
    for (const auto& cu_seqlens : {equal_segments(workspace.max_tokens, most), mixed_segments(workspace.max_tokens, most)}) {
      attend_once(spec, workspace, cu_seqlens, training, stream);
    }
    synchronize(stream);
  });
  arena.count(MemoryKind::operator_scratch, "operators' own", operator_scratch_bytes(stream));
}

}  // namespace lora_dist

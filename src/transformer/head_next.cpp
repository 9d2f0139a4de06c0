// Logits, and the head for a generated token.
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/matmul/matmul.h"
#include "src/transformer/head.h"
#include "src/transformer/trained_norms.h"
#include "src/transformer/trained_tables.h"

namespace lora_dist {

namespace {

/// Joins one token's logits from the ranks that share the vocabulary.
std::vector<float> join_logits(const ForwardContext& model) {
  const Workspace& workspace = *model.workspace;
  const int ranks = model.tensor->size();
  model.tensor->all_gather(std::as_bytes(workspace.next_logits), std::as_writable_bytes(workspace.all_next_logits),
                           WireKind::tensor_activation);
  std::vector<float> padded(workspace.all_next_logits.size());
  to_host(view(workspace.all_next_logits), view(std::span(padded)), model.stream);
  std::vector<float> out;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto from = padded.begin() + static_cast<std::ptrdiff_t>(workspace.next_logits.size()) * rank;
    out.insert(out.end(), from, from + vocab_shard(model.base->tp, rank).size());
  }
  return out;
}

}  // namespace

void logits_of(const ForwardContext& model, ConstTensorView normed, std::int64_t first_id, ConstTensorView head,
               TensorView logits) {
  const ModelSpec& spec = model.base->spec;
  const ConstTensorView rows = head_rows(model, first_id, head);
  matmul({.a = normed, .b = rows, .op_b = Transpose::yes, .alpha = spec.logits_scale, .c = logits}, model.stream);
  put_token_logits(model, first_id, normed, logits);
  if (spec.logits_cap > 0.0F) {
    soft_cap(logits, spec.logits_cap, model.stream);
  }
}

std::vector<float> head_next(const ForwardContext& model, std::int64_t tokens) {
  const Workspace& workspace = *model.workspace;
  const ModelSpec& spec = model.base->spec;
  const VocabTable& head = model.base->head;
  const MicroBatchBuffers& buffers = workspace.in_flight[0];
  const TensorView hidden = last_hidden(model, buffers, tokens);
  const RowBuffer all{hidden.data, spec.hidden, hidden.dtype};
  norm(norm_weights(model, NormSite::last, 0), spec.norm_eps, all.rows_from(tokens - 1, 1), buffers.head.normed.rows(1),
       buffers.head.norm.rows(1), model.stream);
  const std::span<float> to = model.tensor == nullptr ? workspace.logits : workspace.next_logits;
  for (std::int64_t i = 0; i < head.chunks; ++i) {
    const ConstTensorView rows = model.window->tables().acquire(head, i);
    if (i + 1 < head.chunks) {
      model.window->tables().prefetch(head, i + 1);
    }
    const std::int64_t first = head.chunk(i).begin;
    logits_of(model, buffers.head.normed.rows(1), model.base->tp.vocab.begin + first, rows,
              view(to.data() + first, {1, rows.rows()}));
    model.window->tables().release(head, i);
  }
  if (model.tensor != nullptr) {
    return join_logits(model);
  }
  std::vector<float> out(static_cast<std::size_t>(spec.vocab));
  to_host(view(to.data(), {1, spec.vocab}), view(std::span(out)), model.stream);
  return out;
}

}  // namespace lora_dist

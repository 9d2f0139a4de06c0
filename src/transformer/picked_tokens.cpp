// Picks tokens, and finds the buffers of a chunk of them.
#include "src/transformer/picked_tokens.h"

#include <algorithm>
#include <vector>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/elementwise/rows.h"
#include "src/transformer/device_micro_batch.h"
#include "src/transformer/norm.h"
#include "src/transformer/trained_norms.h"
#include "src/transformer/transformer.h"

namespace lora_dist {

Picked pick_and_norm(const ForwardContext& model, const MicroBatch& batch, const MicroBatchBuffers& buffers, bool only_targets) {
  std::vector<std::int32_t> index;
  std::vector<std::int32_t> targets;
  for (std::int64_t t = 0; t < batch.tokens(); ++t) {
    const std::int32_t target = batch.targets[static_cast<std::size_t>(t)];
    if (!only_targets || target != kNotTrained) {
      index.push_back(static_cast<std::int32_t>(t));
      targets.push_back(target);
    }
  }
  Picked picked;
  picked.buffers = &buffers;
  picked.tokens = batch.tokens();
  picked.count = static_cast<std::int64_t>(index.size());
  if (picked.count == 0) {
    return picked;
  }
  const HeadBuffers& head = buffers.head;
  picked.index = to_device(index, head.index, model.stream);
  picked.targets = to_device(targets, head.targets, model.stream);
  gather_rows(last_hidden(model, buffers, batch.tokens()), picked.index, head.picked.rows(picked.count), model.stream);
  norm(norm_weights(model, NormSite::last, 0), model.base->spec.norm_eps, head.picked.rows(picked.count),
       head.normed.rows(picked.count), head.norm.rows(picked.count), model.stream);
  return picked;
}

TokenChunk token_chunk(const ForwardContext& model, const Picked& picked, std::int64_t first) {
  const Workspace& workspace = *model.workspace;
  const HeadBuffers& head_buffers = picked.head();
  const VocabTable& head = model.base->head;
  TokenChunk chunk;
  chunk.first = first;
  chunk.rows = std::min(workspace.logits_rows, picked.count - first);
  chunk.grads = picked.grads;
  chunk.normed = head_buffers.normed.rows_from(first, chunk.rows);
  chunk.gradient = head.chunks == 1               ? chunk.normed
                   : model.base->head_by_chunks() ? head_buffers.gradient.rows_from(first, chunk.rows)
                                                  : head_buffers.gradient.rows(chunk.rows);
  chunk.targets = view(picked.targets.as<std::int32_t>() + first, {chunk.rows});
  chunk.loss = head_buffers.token_loss.column_from(first, chunk.rows);
  const auto number = [&](std::int64_t tokens) { return static_cast<std::size_t>(tokens * head.chunks * kSoftmaxNumbers); };
  if (!head_buffers.softmax_numbers.empty()) {
    chunk.numbers = head_buffers.softmax_numbers.subspan(number(first), number(chunk.rows));
  }
  chunk.all_numbers = chunk.numbers;
  if (model.tensor != nullptr) {
    const int ranks = model.tensor->size();
    chunk.all_numbers = head_buffers.all_softmax_numbers.subspan(number(first * ranks), number(chunk.rows * ranks));
  }
  return chunk;
}

}  // namespace lora_dist

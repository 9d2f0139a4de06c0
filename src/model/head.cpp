// The head in chunks of tokens, so that logits of a whole batch never exist.
#include "src/model/head.h"

#include <algorithm>

#include "kernels/copy/copy.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/cross_entropy_part/cross_entropy_part.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rows/rows.h"
#include "src/core/pulse.h"
#include "src/model/stage_values.h"

namespace lora_dist {

namespace {

/// The tokens that the head looks at, as they lie where the operators run.
struct Picked {
  std::int64_t count = 0;
  ConstTensorView index;    // i32 [count]: which token
  ConstTensorView targets;  // i32 [count]
};

/// Picks tokens and puts their last hidden states after the final norm in the workspace.
Picked pick_and_norm(const Transformer& model, const Pass& pass, bool only_targets) {
  const Workspace& workspace = *model.workspace;
  std::vector<std::int32_t> index;
  std::vector<std::int32_t> targets;
  for (std::int64_t t = 0; t < pass.tokens(); ++t) {
    const std::int32_t target = pass.targets[static_cast<std::size_t>(t)];
    if (!only_targets || target != kNotTrained) {
      index.push_back(static_cast<std::int32_t>(t));
      targets.push_back(target);
    }
  }
  Picked picked;
  picked.count = static_cast<std::int64_t>(index.size());
  if (picked.count == 0) {
    return picked;
  }
  picked.index = stage_values(index, workspace.pass.index, model.stream);
  picked.targets = stage_values(targets, workspace.pass.targets, model.stream);
  gather_rows(workspace.entering(model.base->spec.layers).rows(pass.tokens()), picked.index, workspace.picked.rows(picked.count),
              model.stream);
  norm(model.base->final_norm, model.base->spec.norm_eps, workspace.picked.rows(picked.count),
       workspace.picked_normed.rows(picked.count), workspace.picked_norm.rows(picked.count), model.stream);
  return picked;
}

/// Some of the picked tokens with their logits.
struct LogitsChunk {
  std::int64_t first = 0;
  std::int64_t rows = 0;
  TensorView normed;        // [rows, hidden]: what the logits came from
  TensorView logits;        // f32 [rows, vocab]
  ConstTensorView targets;  // i32 [rows]
};

template <class Work>
void for_each_logits_chunk(const Transformer& model, const Picked& picked, Work work) {
  const Workspace& workspace = *model.workspace;
  for (std::int64_t first = 0; first < picked.count; first += workspace.logits_rows) {
    beat();
    LogitsChunk chunk;
    chunk.first = first;
    chunk.rows = std::min(workspace.logits_rows, picked.count - first);
    chunk.normed = workspace.picked_normed.rows_from(first, chunk.rows);
    chunk.logits = view(workspace.logits.data(), {chunk.rows, model.base->spec.vocab});
    chunk.targets = view(picked.targets.as<std::int32_t>() + first, {chunk.rows});
    matmul(chunk.normed, Transpose::no, model.base->head, Transpose::yes, 1.0F, 0.0F, chunk.logits, model.stream);
    work(chunk);
  }
}

/// Losses of a chunk, and its gradient over the logits or beside them. Where ranks share the vocabulary they tell each other
/// three numbers of each row.
void chunk_loss(const Transformer& model, const LogitsChunk& chunk, float loss_scale) {
  const Workspace& workspace = *model.workspace;
  const TensorView loss = workspace.token_loss.column_from(chunk.first, chunk.rows);
  const TensorView gradient = workspace.logits_gradient.rows(chunk.rows);
  if (model.tensor == nullptr) {
    cross_entropy(chunk.logits, chunk.targets, loss_scale, loss, gradient, model.stream);
    return;
  }
  const std::int64_t first_id = model.base->part.vocab.begin;
  const auto floats = static_cast<std::size_t>(chunk.rows * kSoftmaxNumbers);
  const std::span<float> mine = workspace.softmax_numbers.first(floats);
  const std::span<float> all = workspace.all_softmax_numbers.first(floats * static_cast<std::size_t>(model.tensor->size()));
  softmax_numbers(chunk.logits, chunk.targets, first_id, view(mine.data(), {chunk.rows, kSoftmaxNumbers}), model.stream);
  model.tensor->all_gather(std::as_bytes(mine), std::as_writable_bytes(all), WireKind::tensor_activation);
  const ConstTensorView numbers = view(all.data(), {chunk.rows * model.tensor->size(), kSoftmaxNumbers});
  cross_entropy_part(chunk.logits, chunk.targets, first_id, numbers, loss_scale, loss, gradient, model.stream);
}

/// One token's logits from the ranks that share the vocabulary.
std::vector<float> join_logits(const Transformer& model) {
  const Workspace& workspace = *model.workspace;
  const int ranks = model.tensor->size();
  model.tensor->all_gather(std::as_bytes(workspace.next_logits), std::as_writable_bytes(workspace.all_next_logits),
                           WireKind::tensor_activation);
  std::vector<float> padded(workspace.all_next_logits.size());
  to_host(view(workspace.all_next_logits), view(std::span(padded)), model.stream);
  std::vector<float> out;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto from = padded.begin() + static_cast<std::ptrdiff_t>(workspace.next_logits.size()) * rank;
    out.insert(out.end(), from, from + vocab_part(model.base->part, rank).size());
  }
  return out;
}

}  // namespace

std::int64_t head_and_loss(const Transformer& model, const Pass& pass, float loss_scale, bool backward) {
  const Workspace& workspace = *model.workspace;
  const Picked picked = pick_and_norm(model, pass, true);
  for_each_logits_chunk(model, picked, [&](const LogitsChunk& chunk) {
    chunk_loss(model, chunk, loss_scale);
    if (backward) {  // the normed rows have served: their gradient takes their place
      matmul(workspace.logits_gradient.rows(chunk.rows), Transpose::no, model.base->head, Transpose::no, 1.0F, 0.0F, chunk.normed,
             model.stream);
    }
  });
  if (!backward) {
    return picked.count;
  }
  if (picked.count == 0) {
    zero(workspace.gradients.hidden.rows(pass.tokens()), model.stream);
    return 0;
  }
  if (model.tensor != nullptr) {
    model.tensor->all_reduce_sum(workspace.picked_normed.rows(picked.count), WireKind::tensor_activation);
  }
  const TensorView dpicked = workspace.gradients.normed.rows(picked.count);
  zero(dpicked, model.stream);
  norm_backward(model.base->final_norm, workspace.picked_normed.rows(picked.count), workspace.picked.rows(picked.count),
                workspace.picked_norm.rows(picked.count), dpicked, model.stream);
  scatter_rows(dpicked, picked.index, workspace.gradients.hidden.rows(pass.tokens()), model.stream);
  return picked.count;
}

double sum_of_losses(const Transformer& model, std::int64_t count) {
  std::vector<float> losses(static_cast<std::size_t>(count));
  if (count > 0) {
    to_host(model.workspace->token_loss.column(count), view(std::span(losses)), model.stream);
  }
  double sum = 0.0;
  for (const float loss : losses) {
    sum += static_cast<double>(loss);
  }
  return sum;
}

void head_log_probs(const Transformer& model, const Pass& pass, std::span<float> log_prob, std::span<std::int32_t> argmax) {
  const Workspace& workspace = *model.workspace;
  const Picked picked = pick_and_norm(model, pass, false);
  for_each_logits_chunk(model, picked, [&](const LogitsChunk& chunk) {
    token_log_prob(chunk.logits, chunk.targets, workspace.token_loss.column_from(chunk.first, chunk.rows),
                   view(workspace.pass.argmax.data() + chunk.first, {chunk.rows}), model.stream);
  });
  if (picked.count > 0) {
    const auto count = static_cast<std::size_t>(picked.count);
    to_host(workspace.token_loss.column(picked.count), view(log_prob.first(count)), model.stream);
    to_host(view(workspace.pass.argmax.first(count)), view(argmax.first(count)), model.stream);
  }
}

std::vector<float> head_next(const Transformer& model, std::int64_t tokens) {
  const Workspace& workspace = *model.workspace;
  const ModelSpec& spec = model.base->spec;
  norm(model.base->final_norm, spec.norm_eps, workspace.entering(spec.layers).rows_from(tokens - 1, 1),
       workspace.picked_normed.rows(1), workspace.picked_norm.rows(1), model.stream);
  const std::span<float> to = model.tensor == nullptr ? workspace.logits : workspace.next_logits;
  const TensorView logits = view(to.data(), {1, spec.vocab});
  matmul(workspace.picked_normed.rows(1), Transpose::no, model.base->head, Transpose::yes, 1.0F, 0.0F, logits, model.stream);
  if (model.tensor != nullptr) {
    return join_logits(model);
  }
  std::vector<float> out(static_cast<std::size_t>(spec.vocab));
  to_host(logits, view(std::span(out)), model.stream);
  return out;
}

}  // namespace lora_dist
